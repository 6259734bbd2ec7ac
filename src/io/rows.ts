import { makeBuilder, RecordBatch, Struct, StructRow, Vector, type DataType, type Schema } from 'apache-arrow';
import { z } from 'zod';

import { DataError, messageOf, shown } from '../errors.js';
import type { Box, Candidates, Completion, Mask, Row, Size } from '../records.js';
import { SCHEMA_VERSION } from './columns.js';
import { fromCocoString, toCocoString } from './mask.js';

const number = z.custom<number>((value) => typeof value === 'number', 'expected a number');
const numbers = z.array(number);
const box = z.tuple([number, number, number, number]);
const pair = z.tuple([number, number]);
const coco = z.object({ size: pair, counts: z.instanceof(Uint8Array) });

/** One row as its columns hold it: what the row lacks is null. */
const Cells = z.object({
  id: z.string(),
  image: z.string().nullable(),
  scene: z.string().nullable(),
  truth: coco.nullable(),
  ignore: coco.nullish(),
  truth_path: z.string().nullable(),
  instruction: z.string().nullable(),
  question: z
    .object({ benchmark: z.enum(['pope', 'mme', 'mmbench', 'ai2d']), part: z.string(), item: z.string(), turn: number, options: z.array(z.string()), answer: z.string() })
    .nullish(),
  task: z.string(),
  frame: pair,
  original: pair,
  candidates: z.object({ boxes: z.array(box), names: z.array(z.string()), target: number, mask: coco }).nullable(),
  prompt: z.string().nullable(),
  prompt_tokens: numbers.nullable(),
  texts: z.array(z.string()).nullable(),
  tokens: z.array(numbers).nullable(),
  log_probs: z.array(numbers).nullable(),
  finish: z.array(z.enum(['stop', 'length'])).nullable(),
  entropies: z.array(numbers.nullable()).nullable(),
  policy_version: number.nullable(),
  answer: z.string().nullish(),
  correct: z.literal([0, 1]).nullish(),
  prompts: z.array(z.string().nullable()).nullable(),
  formats: numbers.nullable(),
  masks: z.array(coco.nullable()).nullable(),
  rewards: numbers.nullable(),
  reward_parts: z.record(z.string(), numbers.nullable()).nullish(),
  advantages: numbers.nullable(),
  step: number.nullable(),
  scores: z.record(z.string(), number.nullable()).nullish(),
  fitted: z.object({ prompt: z.string(), ious: numbers, text: z.string() }).nullable(),
  problem: z.string().nullish(),
  thinking: z.string().nullish(),
  solution: z.string().nullish(),
  skipped: z.object({ stage: z.string(), reason: z.string() }).nullable(),
});
export type Cells = z.output<typeof Cells>;

const SceneText = z.strictObject({ kind: z.enum(['main', 'pick']), seed: number, index: number, rule: z.enum(['warm', 'striped', 'largest', 'any']) });
const PromptText = z.strictObject({
  frame: z.strictObject({ width: number, height: number }),
  objects: z.array(z.strictObject({ box: box.exactOptional(), points: z.array(z.strictObject({ x: number, y: number, label: z.literal([0, 1]) })) })),
});

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
    question: row.question ? { ...row.question, turn: int32(row.question.turn), options: [...row.question.options] } : null,
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
    entropies: row.completions?.some(({ entropies }) => entropies) ? row.completions.map(({ entropies }) => (entropies ? [...entropies] : null)) : null,
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
    fitted: row.fitted ? { prompt: JSON.stringify(row.fitted.prompt), ious: [...row.fitted.ious], text: row.fitted.text } : null,
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

function toCoco(mask: Mask): z.output<typeof coco> {
  return { size: [int32(mask.height), int32(mask.width)], counts: new TextEncoder().encode(toCocoString(mask)) };
}

function toParts(byName: Readonly<Record<string, readonly number[]>>, schema: Schema): Record<string, number[] | null> {
  const type: DataType | undefined = schema.fields.find(({ name }) => name === 'reward_parts')?.type;
  const known = type instanceof Struct ? type.children.map(({ name }) => name) : [];
  const unknown = Object.keys(byName).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new DataError(`parts of the reward: expected ${known.join(', ') || 'none'}; got ${shown(unknown)}`);
  return Object.fromEntries(known.map((name) => [name, Object.hasOwn(byName, name) ? [...(byName[name] as readonly number[])] : null]));
}

/** A number that is none, such as the boundary accuracy of a truth without boundary, stays NaN; what another kind of row has is null. */
function toScores(scores: Readonly<Record<string, number>>, schema: Schema): Record<string, number | null> {
  const type: DataType | undefined = schema.fields.find(({ name }) => name === 'scores')?.type;
  const known = type instanceof Struct ? type.children.map(({ name }) => name) : [];
  const unknown = Object.keys(scores).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new DataError(`scores: expected ${known.join(', ') || 'none'}; got ${shown(unknown)}`);
  return Object.fromEntries(known.map((name) => [name, scores[name] ?? null]));
}

/** Rows as one record batch of `schema`. */
export function toBatch(rows: readonly Cells[], schema: Schema): RecordBatch {
  const builder = makeBuilder<DataType>({ type: new Struct(schema.fields), nullValues: [null, undefined] });
  for (const row of rows) builder.append(row);
  return new RecordBatch(schema, builder.finish().flush());
}

/**
 * The rows of a record batch, as they were before `toCells` save for the rounding to float32.
 *
 * @throws {DataError} if the columns are not those of `rowSchema`, or a row's do not fit together.
 */
export function fromBatch(batch: RecordBatch): Row[] {
  const version = batch.schema.metadata.get('schema_version');
  if (version !== SCHEMA_VERSION) throw new DataError(`columns of rows: expected schema_version ${SCHEMA_VERSION}; got ${shown(version)}`);
  return Array.from({ length: batch.numRows }, (_, i) => {
    const cells = Cells.safeParse(plain(batch.get(i)));
    if (cells.success) return fromCells(cells.data);
    const [issue] = cells.error.issues;
    throw new DataError(`row ${i} of a batch, column ${issue?.path.join('.')}: ${issue?.message ?? 'unreadable'}`);
  });
}

/** What Arrow holds as plain arrays and objects. */
function plain(value: unknown): unknown {
  if (value instanceof Vector) return Array.from(value, plain);
  if (value instanceof StructRow) return Object.fromEntries(Array.from(value, ([name, child]) => [name, plain(child)]));
  return value;
}

function fromCells(cells: Cells): Row {
  const { candidates, fitted, problem, thinking, solution, skipped } = cells;
  return {
    id: cells.id,
    image: cells.scene === null ? { path: cells.image ?? '' } : { scene: fromJson(cells.scene, SceneText, cells.id) },
    task: cells.task,
    frame: fromPair(cells.frame),
    original: fromPair(cells.original),
    ...(cells.truth && { truth: fromCoco(cells.truth) }),
    ...(cells.ignore && { ignore: fromCoco(cells.ignore) }),
    ...(cells.truth_path !== null && { truthPath: cells.truth_path }),
    ...(cells.instruction !== null && { instruction: cells.instruction }),
    ...(cells.question && { question: cells.question }),
    ...(candidates && { candidates: { ...candidates, mask: fromCoco(candidates.mask) } }),
    ...(cells.prompt !== null && { prompt: cells.prompt }),
    ...(cells.prompt_tokens && { promptTokens: cells.prompt_tokens }),
    ...(cells.texts && { completions: fromAnswers(cells.texts, cells) }),
    ...(cells.policy_version !== null && { policyVersion: cells.policy_version }),
    ...(typeof cells.correct === 'number' && { answer: cells.answer ?? null, correct: cells.correct }),
    ...(cells.prompts && { prompts: cells.prompts.map((text) => (text === null ? null : fromJson(text, PromptText, cells.id))) }),
    ...(cells.formats && { formats: cells.formats }),
    ...(cells.masks && { masks: cells.masks.map((mask) => mask && fromCoco(mask)) }),
    ...(cells.rewards && { rewards: { total: cells.rewards, byName: fromParts(cells.reward_parts ?? {}) } }),
    ...(cells.advantages && { advantages: cells.advantages }),
    ...(cells.step !== null && { step: cells.step }),
    ...(cells.scores && { scores: Object.fromEntries(Object.entries(cells.scores).filter((entry): entry is [string, number] => entry[1] !== null)) }),
    ...(fitted && { fitted: { ...fitted, prompt: fromJson(fitted.prompt, PromptText, cells.id) } }),
    ...(typeof problem === 'string' && { problem }),
    ...(typeof thinking === 'string' && { thinking }),
    ...(typeof solution === 'string' && { solution }),
    ...(skipped && { skipped }),
  };
}

const fromPair = ([width, height]: readonly [number, number]): Size => ({ width, height });

function fromCoco({ size: [height, width], counts }: z.output<typeof coco>): Mask {
  return fromCocoString(new TextDecoder().decode(counts), { width, height });
}

function fromParts(parts: Readonly<Record<string, number[] | null>>): Record<string, number[]> {
  return Object.fromEntries(Object.entries(parts).flatMap(([name, values]) => (values ? [[name, values]] : [])));
}

function fromAnswers(texts: readonly string[], { id, tokens, log_probs: logProbs, finish, entropies }: Cells): Completion[] {
  const lengths = [tokens?.length, logProbs?.length, finish?.length];
  if (!tokens || !logProbs || !finish || lengths.some((length) => length !== texts.length)) {
    throw new DataError(`row ${id}  tokens, log_probs and finish: expected ${texts.length} each as texts has; got ${lengths.map((n) => n ?? 'none').join(', ')}`);
  }
  return texts.map((text, g) => {
    const own = entropies?.[g];
    return { text, tokens: tokens[g]!, logProbs: logProbs[g]!, finish: finish[g]!, ...(own && { entropies: own }) };
  });
}

function fromJson<T>(text: string, shape: z.ZodType<T>, id: string): T {
  try {
    return shape.parse(JSON.parse(text));
  } catch (error) {
    throw new DataError(`row ${id}  ${shown(text)}: expected JSON as it was written; got ${messageOf(error)}`, { cause: error });
  }
}
