import { Struct, type DataType, type Schema } from 'apache-arrow';

import { DataError, messageOf, shown } from '../errors.js';
import type { Box, Candidates, Mask, Row, Size } from '../records.js';
import type { Cells, CocoCell } from './cells.js';
import { toCocoString } from './mask.js';

/**
 * One row as the columns of `schema` hold it. Scores and log-probs become float32.
 *
 * @throws {DataError} for a number that its column cannot hold, or a part of the reward that the schema lacks.
 */
export function toCells(row: Row, schema: Schema): Cells {
  try {
    return { ...sampleCells(row), ...answerCells(row, schema) };
  } catch (error) {
    throw new DataError(`row ${row.id}  ${messageOf(error)}`, { cause: error });
  }
}

function sampleCells(row: Row) {
  return {
    id: row.id,
    image: 'path' in row.image ? row.image.path : null,
    scene: 'scene' in row.image ? JSON.stringify(row.image.scene) : null,
    truth: row.truth ? toCoco(row.truth) : null,
    ignore: row.ignore ? toCoco(row.ignore) : null,
    truth_path: row.truthPath ?? null,
    instruction: row.instruction ?? null,
    question: row.question
      ? { ...row.question, turn: int32(row.question.turn), options: [...row.question.options] }
      : null,
    task: row.task,
    frame: toPair(row.frame),
    original: toPair(row.original),
    candidates: row.candidates ? toCandidates(row.candidates) : null,
    skipped: row.skipped ? { stage: row.skipped.stage, reason: row.skipped.reason } : null,
  };
}

function answerCells(row: Row, schema: Schema) {
  return {
    prompt: row.prompt ?? null,
    prompt_tokens: row.promptTokens?.map(int32) ?? null,
    texts: row.completions?.map(({ text }) => text) ?? null,
    tokens: row.completions?.map(({ tokens }) => tokens.map(int32)) ?? null,
    log_probs: row.completions?.map(({ logProbs }) => [...logProbs]) ?? null,
    finish: row.completions?.map(({ finish }) => finish) ?? null,
    entropies: row.completions?.some(({ entropies }) => entropies)
      ? row.completions.map(({ entropies }) => (entropies ? [...entropies] : null))
      : null,
    policy_version: row.policyVersion === undefined ? null : int32(row.policyVersion),
    answer: row.answer ?? null,
    correct: row.correct ?? null,
    prompts: row.prompts?.map((prompt) => prompt && JSON.stringify(prompt)) ?? null,
    formats: row.formats ? [...row.formats] : null,
    masks: row.masks?.map((mask) => mask && toCoco(mask)) ?? null,
    rewards: row.rewards ? [...row.rewards.total] : null,
    reward_parts: row.rewards ? toParts(row.rewards.byName, schema) : null,
    advantages: row.advantages ? [...row.advantages] : null,
    step: row.step === undefined ? null : int32(row.step),
    scores: row.scores ? toScores(row.scores, schema) : null,
    fitted: row.fitted
      ? { prompt: JSON.stringify(row.fitted.prompt), ious: [...row.fitted.ious], text: row.fitted.text }
      : null,
    problem: row.problem ?? null,
    thinking: row.thinking ?? null,
    solution: row.solution ?? null,
  };
}

function toCandidates({ boxes, names, target, mask }: Candidates) {
  return { boxes: boxes.map(toBox), names: [...names], target: int32(target), mask: toCoco(mask) };
}

function int32(value: number): number {
  if ((value | 0) !== value) throw new DataError(`a column of 32-bit integers: expected one; got ${value}`);
  return value;
}

const toPair = ({ width, height }: Size): [number, number] => [int32(width), int32(height)];
const toBox = ([x1, y1, x2, y2]: Box): [number, number, number, number] => [int32(x1), int32(y1), int32(x2), int32(y2)];

function toCoco(mask: Mask): CocoCell {
  return { size: [int32(mask.height), int32(mask.width)], counts: new TextEncoder().encode(toCocoString(mask)) };
}

function toParts(byName: Readonly<Record<string, readonly number[]>>, schema: Schema): Record<string, number[] | null> {
  const known = knownNames(schema, 'reward_parts', 'parts of the reward', byName);
  return Object.fromEntries(known.map((name) => [name, Object.hasOwn(byName, name) ? [...byName[name]] : null]));
}

/**
 * A number that is none, such as the boundary accuracy of a truth without boundary, stays NaN; what another kind of row
 * has is null.
 */
function toScores(scores: Readonly<Record<string, number>>, schema: Schema): Record<string, number | null> {
  return Object.fromEntries(knownNames(schema, 'scores', 'scores', scores).map((name) => [name, scores[name] ?? null]));
}

/** Names that a column has a place for, which must be all of those given. */
function knownNames(schema: Schema, column: string, what: string, given: object): readonly string[] {
  const type: DataType | undefined = schema.fields.find(({ name }) => name === column)?.type;
  const known = type instanceof Struct ? type.children.map(({ name }) => name) : [];
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new DataError(`${what}: expected ${known.join(', ') || 'none'}; got ${shown(unknown)}`);
  return known;
}
