import { parse } from 'node:path';

import { shown, UsageError } from '../../errors.js';
import type { Pair } from '../dataset.js';
import { embeddedReference } from '../embedded.js';
import { cellText, tsvRecords, type Cell } from '../tsv.js';
import { readPublished } from './published.js';
import { choiceInstruction, letterOf } from './wording.js';

export interface TableOptions {
  readonly benchmark: 'mmbench' | 'ai2d';
  /** Only rows of this part, by the column `split`, or by the name of a file without that column. */
  readonly split?: string | undefined;
  /** Every question in every order of its options. */
  readonly circular: boolean;
}

/** One line of the table. */
interface Line {
  readonly index: string;
  readonly image: string;
  readonly part: string;
  readonly hint: string;
  readonly question: string;
  readonly options: readonly string[];
  readonly answer: number;
}

/** Published orders of one question have its index plus so much. */
const STRIDE = 1_000_000;
/** Values of `image` that are not longer name the row whose picture it is. */
const LONGEST_INDEX = 64;

/**
 * Questions of a table as MMBench publishes it, and VLMEvalKit others: `index`, `question`, `hint`, `A` to `D`,
 * `answer`, `category`, `l2-category`, `split`
 * and the picture as base64, or the `index` of the row that has it.
 *
 * Where the table has the other orders of the options itself, they are taken; else made, one turn an option.
 *
 * @throws {UsageError} if a column is missing, or a row has no answer among its options, or no picture.
 */
export function tableItems(path: string, { benchmark, split, circular }: TableOptions): Pair[] {
  const lines = readLines(path, split);
  const published = circular && lines.some(({ index }) => Number(index) >= STRIDE);
  const questions = lines.flatMap((line): { item: string; turn: number; line: Line }[] => {
    if (published)
      return [{ item: String(Number(line.index) % STRIDE), turn: Math.floor(Number(line.index) / STRIDE), line }];
    const turns = circular ? line.options.map((_, turn) => turn) : [0];
    return turns.map((turn) => ({ item: line.index, turn, line: turned(line, turn) }));
  });
  const place = new Map(questions.map(({ item }, i) => [item, i]).toReversed() as [string, number][]);
  const together = published
    ? questions.toSorted((a, b) => (place.get(a.item) ?? 0) - (place.get(b.item) ?? 0))
    : questions;
  return together.map(({ item, turn, line }): Pair => ({
    name: circular ? `${item}-${turn}` : item,
    image: line.image,
    instruction: choiceInstruction(line.question, line.options, line.hint),
    task: benchmark,
    question: { benchmark, part: line.part, item, turn, options: line.options, answer: letterOf(line.answer) },
  }));
}

/** The same question, its options moved up by `turn`, those in front to the end. */
function turned(line: Line, turn: number): Line {
  const n = line.options.length;
  return {
    ...line,
    options: line.options.map((_, i) => line.options[(i + turn) % n] ?? ''),
    answer: (line.answer - turn + n) % n,
  };
}

function readLines(path: string, split: string | undefined): Line[] {
  const bytes = readPublished(path);
  const [header = [], ...records] = tsvRecords(bytes, path);
  const columns = new Map(header.map((cell, i) => [cellText(bytes, cell), i]));
  const missing = ['index', 'question', 'A', 'B', 'answer', 'image'].filter((name) => !columns.has(name));
  if (missing.length > 0)
    throw new UsageError(`${path}  columns: expected ${missing.join(', ')}; got ${shown([...columns.keys()])}`);
  const cellOf = (record: readonly Cell[], name: string): Cell | undefined => record[columns.get(name) ?? -1];
  const textOf = (record: readonly Cell[], name: string): string => {
    const cell = cellOf(record, name);
    return cell ? cellText(bytes, cell).trim() : '';
  };
  const pictures = new Map(records.map((record) => [textOf(record, 'index'), cellOf(record, 'image') as Cell]));
  const pictureOf = (record: readonly Cell[]): string => {
    const cell = cellOf(record, 'image') as Cell;
    const own = length(cell) > LONGEST_INDEX ? cell : pictures.get(textOf(record, 'image'));
    if (!own || length(own) <= LONGEST_INDEX)
      throw new UsageError(
        `${path}  row ${textOf(record, 'index')}: expected a picture as base64, or the index of a row with one; got ${shown(textOf(record, 'image'))}`,
      );
    return embeddedReference(path, own);
  };
  const all = split === undefined || (!columns.has('split') && isPartOf(path, split));
  const lines = records
    .filter((record) => all || textOf(record, 'split') === split)
    .map((record) => lineOf((name) => textOf(record, name), pictureOf(record), path));
  if (lines.length === 0)
    throw new UsageError(
      `${path}  rows: expected some${split === undefined ? '' : ` with the split ${JSON.stringify(split)}`}; got none`,
    );
  return lines;
}

/** Whether the file's name says that it holds one part alone: `AI2D_TEST.tsv`. */
function isPartOf(path: string, split: string): boolean {
  return parse(path)
    .name.toLowerCase()
    .split(/[^a-z0-9]+/)
    .includes(split.toLowerCase());
}

function lineOf(text: (name: string) => string, image: string, path: string): Line {
  const options = ['A', 'B', 'C', 'D', 'E', 'F'].map(text);
  const given = options.slice(0, options.findLastIndex((option) => option !== '') + 1);
  const answer = text('answer');
  const at = given.findIndex((option, i) => option !== '' && letterOf(i) === answer);
  if (at < 0)
    throw new UsageError(
      `${path}  row ${text('index')}: expected the letter of an option as answer; got ${shown(answer)}; way out: split: dev, where the table has parts without answers`,
    );
  const part = [text('l2-category'), text('category')].filter((name) => name !== '').join('/');
  return {
    index: text('index'),
    image,
    part,
    hint: text('hint'),
    question: text('question'),
    options: given,
    answer: at,
  };
}

function length({ start, end }: Cell): number {
  return end - start;
}
