import { createWriteStream, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { encodePng } from '../io/image.js';
import { noRoom, writeWhole } from '../io/whole-file.js';
import type { Panel } from '../operators/scoring/gallery.js';
import type { Scores } from '../operators/score.js';
import { itemValues, type ScoredItem } from '../operators/scoring/score-summary.js';
import type { Tally } from '../operators/tally.js';
import { latex } from './latex.js';
import { page, type Picture } from './page.js';
import { BESIDE, paperTable } from './paper-table.js';
import { scoreTable, setLine } from './score-table.js';
import { markdown, markdownTable, markdownText } from './table.js';
import { setsTables } from './sets-table.js';
import { tallyTable } from './tally-table.js';

/** Results of a run after its last row. */
export interface RunSummary {
  readonly tally?: Tally;
  readonly scores?: Scores;
  readonly gallery?: readonly Picture[];
}

/** Paths of a run's results, absolute. */
export interface SummaryFiles {
  /** JSON, for programs. */
  readonly summary: string;
  /** Markdown, for people. */
  readonly summaryText: string;
  /** LaTeX. */
  readonly summaryTable: string;
  /** HTML. */
  readonly report: string;
  /** A JSON line a scored row. */
  readonly scores: string;
  /** Folder of the pictures on the page, beside it. */
  readonly gallery: string;
}

/** Writes the results of a run: a summary for programs and one for people, and of scores also a table and a page. */
export function writeSummary(
  files: Omit<SummaryFiles, 'scores' | 'gallery'>,
  name: string,
  { tally, scores, gallery = [] }: RunSummary,
): void {
  writeWhole(files.summary, `${JSON.stringify({ name, ...tally, ...scores }, null, 2)}\n`);
  const counted = tally && tallyTable(tally);
  const parts = [
    ...(counted ? [markdown(name, counted)] : [`# ${markdownText(name)}\n`]),
    ...(scores ? scoreParts(name, scores) : []),
  ];
  writeWhole(files.summaryText, parts.join('\n'));
  if (!scores) return;
  writeWhole(files.summaryTable, latex(name, scores));
  writeWhole(files.report, page({ name, scores, gallery, tables: counted ? { 'Rewards and answers': counted } : {} }));
}

/** The scores in Markdown, set by set. */
function scoreParts(name: string, { sets, protocol, defects, unscored }: Scores): string[] {
  const legacy =
    protocol === 'legacy'
      ? `Protocol \`legacy\`, with the defects of Seg-R1’s released evaluation:\n\n${defects.map((defect) => `* ${defect}\n`).join('')}`
      : '';
  const left = unscored > 0 ? `${unscored} marked rows are in no number.\n` : '';
  const each = sets.flatMap((set) => {
    const paper = paperTable(set.set, [{ name, protocol, metrics: set.metrics }]);
    return [
      `## ${markdownText(set.set)}\n`,
      `${markdownText(setLine(set, protocol))}.\n`,
      markdownTable(scoreTable(set, Object.keys(set.metrics))),
      ...(paper ? [`${BESIDE}\n`, markdownTable(paper)] : []),
    ];
  });
  const all = setsTables(sets, protocol).map((table) => `## all sets\n\n${markdownTable(table)}`);
  return [legacy, left, ...all, ...each].filter((part) => part !== '');
}

/** Writes each item's numbers, a line for each, by which runs are compared. */
export async function writeItems(
  { scores: file }: Pick<SummaryFiles, 'scores'>,
  items: readonly ScoredItem[],
): Promise<void> {
  const lines = function* (): Generator<string> {
    for (const { id, set, unit, judged, answer } of items)
      yield `${JSON.stringify({ id, set, unit, kind: judged.kind, values: { ...itemValues(judged), ...answer } })}\n`;
  };
  await pipeline(Readable.from(lines()), createWriteStream(file)).catch(noRoom(file, 'scores'));
}

/** Writes panels as PNG. */
export async function writeGallery(
  { gallery }: Pick<SummaryFiles, 'gallery'>,
  panels: readonly Panel[],
): Promise<Picture[]> {
  if (panels.length > 0) mkdirSync(gallery, { recursive: true });
  for (const { name, image } of panels) writeWhole(join(gallery, `${name}.png`), await encodePng(image));
  return panels.map(({ name, id, worth, image: { width, height } }) => ({
    file: `${basename(gallery)}/${name}.png`,
    id,
    worth,
    width,
    height,
  }));
}
