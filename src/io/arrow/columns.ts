import { Field, Schema } from 'apache-arrow';
import { z } from 'zod';

import { DataError, UsageError } from '../../errors.js';
import type { Completion, Row } from '../../records.js';
import {
  among,
  box,
  byName,
  double,
  float,
  int,
  list,
  mask,
  nullable,
  prompt,
  scene,
  size,
  snakeCase,
  struct,
  text,
  type Cell,
} from './cells.js';
import { hubFeatures } from './hub-layout.js';
import { ownField, type OwnColumns } from './own-columns.js';

/** Version of the columns, in the schema's metadata; a reader refuses others. */
export const SCHEMA_VERSION = '1';

/** What decides which columns a schema has. */
export interface RowShape {
  /** Names of the reward's parts; without any there is no column `reward_parts`. */
  readonly parts?: readonly string[];
  /** Names of the metrics that `score` adds; without any there is no column `scores`. */
  readonly scores?: readonly string[];
  /** Whether ground truths have ignored regions. */
  readonly ignore?: boolean;
  /** Custom columns. */
  readonly columns?: OwnColumns;
}

/** One column: how values are stored in it, and what they mean. */
interface ColumnOf<Value> {
  readonly cell: (shape: RowShape) => Cell<Value>;
  /** Whether the schema has it; default: it does. */
  readonly stands?: (shape: RowShape) => boolean;
  readonly doc: string;
}

/** Keys of a row with the column, or the columns, that hold them. */
export interface Entry {
  readonly keys: readonly (keyof Row)[];
  readonly columns: Readonly<Record<string, ColumnOf<unknown>>>;
  /** Whether every row needs it. */
  readonly required: boolean;
  /** Whether it is known before a completion, so that `replay` reads it. */
  readonly replayed: boolean;
  /** Values by column; null or undefined where the row has none. */
  readonly write: (row: Row) => Readonly<Record<string, unknown>>;
  /** The row's value from its columns; null if they have none. */
  readonly read: (values: Readonly<Record<string, unknown>>) => Partial<Row>;
}

interface Traits {
  readonly required?: boolean;
  readonly replayed?: boolean;
}

/** A key with one column of the same name. */
function one<K extends keyof Row>(
  key: K,
  cell: Cell<NonNullable<Row[K]>> | ((shape: RowShape) => Cell<NonNullable<Row[K]>>),
  doc: string,
  { stands, ...traits }: Traits & Pick<ColumnOf<unknown>, 'stands'> = {},
): Entry {
  const name = snakeCase(key);
  const cellOf = typeof cell === 'function' ? cell : () => cell;
  return several(
    [key],
    { [name]: { cell: cellOf, doc, ...(stands && { stands }) } },
    (row) => ({ [name]: row[key] }),
    (values) => (values[name] === null ? {} : { [key]: values[name] }),
    traits,
  );
}

/** Keys and columns that make sense only together. */
function several<Values>(
  keys: readonly (keyof Row)[],
  columns: { readonly [N in keyof Values]: ColumnOf<Values[N]> },
  write: (row: Row) => { readonly [N in keyof Values]?: Values[N] | null | undefined },
  read: (values: { readonly [N in keyof Values]: Values[N] | null }) => Partial<Row>,
  { required = false, replayed = false }: Traits = {},
): Entry {
  return { keys, columns, write, read, required, replayed } as unknown as Entry;
}

function of<Value>(cell: Cell<Value>, doc: string): ColumnOf<Value> {
  return { cell: () => cell, doc };
}

const always = { required: true, replayed: true };
const replayed = { replayed: true };

/** All columns of a row, in their order in the schema. */
export const table: readonly Entry[] = [
  one('id', text, '`eEPOCH/INDEX/NAME`, unique in a run and the same in every run', always),
  several(
    ['image'],
    {
      image: of(text, 'path of the image, `table.tsv#start-end` for base64 in a table; null for scenes'),
      scene: of(scene, 'a drawn scene as JSON: kind, seed, index, rule'),
    },
    ({ image }) => ('path' in image ? { image: image.path } : { scene: image.scene }),
    (values) => ({ image: values.scene ? { scene: values.scene } : { path: values.image ?? '' } }),
    replayed,
  ),
  one('truth', mask, 'the ground truth, at frame size', replayed),
  one('ignore', mask, 'pixels that count neither for nor against a mask, at frame size; ReasonSeg only', {
    ...replayed,
    stands: ({ ignore = false }) => ignore,
  }),
  one(
    'truthPath',
    text,
    "source of the ground truth: a picture, ReasonSeg's `.json`, or `instances.json#` and ids of annotations, none where nothing is to be found",
    replayed,
  ),
  one('instruction', text, 'what was asked', replayed),
  one(
    'question',
    struct({
      benchmark: among(text, z.enum(['pope', 'mme', 'mmbench', 'ai2d'])),
      part: text,
      item: text,
      turn: int,
      options: list(text),
      answer: text,
    }),
    'what the instruction asks where that has a right answer in words: `benchmark`, `part`, `item`, `turn`, `options`, `answer`; see [benchmarks.md](benchmarks.md)',
  ),
  one(
    'task',
    text,
    "`foreground`, `referring`, a benchmark's name, `reason-sentence`, `reason-phrase`, or the kind of scene",
    always,
  ),
  one(
    'set',
    text,
    'what the set of the image is called: `load.name`, the published set and split, or the folder',
    replayed,
  ),
  one('frame', size, 'width and height of the stretched frame that the policy was shown, px', always),
  one('original', size, 'width and height of the image, upright, px', always),
  one(
    'candidates',
    struct({ boxes: list(box), names: list(text), target: int, mask }),
    'scenes: `boxes`, `names`, index of the `target`, `mask` of them all',
    replayed,
  ),
  one('prompt', text, 'what the policy was told, its template filled in'),
  one('promptTokens', list(int), 'the same as ids, image placeholders expanded'),
  several(
    ['completions'],
    {
      texts: of(list(text), '[G] completions'),
      tokens: of(list(list(int)), '[G] their ids, the end token included'),
      log_probs: of(list(list(float)), '[G] log-probability of each token when it was drawn'),
      finish: of(list(among(text, z.enum(['stop', 'length']))), '[G] `stop` or `length`'),
      entropies: of(
        list(nullable(list(float))),
        '[G][tokens] nats, of the distribution that each token was drawn from; only where `rollout.entropy` asks for them',
      ),
    },
    ({ completions }) =>
      completions
        ? {
            texts: completions.map((completion) => completion.text),
            tokens: completions.map(({ tokens }) => tokens),
            log_probs: completions.map(({ logProbs }) => logProbs),
            finish: completions.map(({ finish }) => finish),
            entropies: completions.some(({ entropies }) => entropies)
              ? completions.map(({ entropies }) => entropies ?? null)
              : null,
          }
        : {},
    ({ texts, ...others }) => (texts ? { completions: completionsOf(texts, others) } : {}),
  ),
  one('policyVersion', int, 'optimizer steps that the writing policy had seen'),
  one(
    'sampling',
    struct({ temperature: double, repetitionPenalty: double, topK: int, topP: double, minP: double, maxTokens: int }),
    'sampling options of the completions: `temperature`, `repetition_penalty`, `top_k`, `top_p`, `min_p`, `max_tokens`',
  ),
  several(
    ['answer', 'correct'],
    {
      answer: of(text, '`answer`: `yes`, `no` or the letter of an option; null where it could not be read'),
      correct: of(among(int, z.literal([0, 1])), '`answer`: 1 where that is right, else 0'),
    },
    ({ answer, correct }) => ({ answer, correct }),
    ({ answer, correct }) => (correct === null ? {} : { answer, correct }),
  ),
  one(
    'prompts',
    list(nullable(prompt)),
    '[G] boxes and points in frame pixels, as JSON; null where the answer could not be read',
  ),
  one('formats', list(float), '[G] 1 where every part of the format was there'),
  one('masks', list(nullable(mask)), '[G] at frame size; null without a prompt'),
  several(
    ['rewards'],
    {
      rewards: of(
        list(float),
        "[G] totals of the parts that apply; NaN where none of those that count does, or where a reward of your own was NaN, which the row's mark says",
      ),
      reward_parts: {
        cell: ({ parts = [] }) => byName(list(float), parts, 'parts of the reward'),
        stands: ({ parts = [] }) => parts.length > 0,
        doc: "[G] each part by name: `format`, `iou`, `structure`, and [others](rewards.md) that have a weight; NaN where the part doesn't apply",
      },
    },
    ({ rewards }) => (rewards ? { rewards: rewards.total, reward_parts: rewards.byName } : {}),
    ({ rewards, reward_parts: byPart }) => (rewards ? { rewards: { total: rewards, byName: byPart ?? {} } } : {}),
  ),
  one('advantages', list(float), '[G]'),
  one('step', int, 'optimizer step that took the row in, from 1'),
  one(
    'scores',
    ({ scores = [] }) => byName(float, scores, 'scores'),
    '`score`: metrics of the answer by name, NaN where a metric is not defined for the image; only with that stage',
    { stands: ({ scores = [] }) => scores.length > 0 },
  ),
  one(
    'fitted',
    struct({ prompt, ious: list(float), text }),
    '`fit`: the `prompt` as JSON, `ious` (box alone, then after each click), the `text` to be taught',
    replayed,
  ),
  one('problem', text, '`think`: what is asked', replayed),
  one('thinking', text, '`think`: the thought with its tags; taught together with `solution`', replayed),
  one('solution', text, '`think`: box, points and labels as a policy writes them', replayed),
  one('skipped', struct({ stage: text, reason: text }), '`stage` and `reason`, for marked rows'),
];

/** Keys of a row that the table has columns for. */
export const rowKeys: ReadonlySet<string> = new Set(table.flatMap(({ keys }) => keys));

/** Keys that every row needs; an image is in one of two columns. */
export const requiredKeys: readonly string[] = [
  'image',
  ...table.filter(({ required }) => required).flatMap(({ keys }) => keys),
];

/** Keys that `replay` reads. */
export const replayedKeys: readonly (keyof Row)[] = table
  .filter(({ replayed }) => replayed)
  .flatMap(({ keys }) => keys);

/** Names that a custom column cannot have, in lower case, since SQL ignores case. */
export const takenNames: ReadonlySet<string> = new Set(
  table.flatMap(({ keys, columns }) => [...keys, ...Object.keys(columns)]).map((name) => name.toLowerCase()),
);

/** Each column as the documentation has it. */
export const columnDocs: readonly { readonly name: string; readonly type: string; readonly doc: string }[] =
  table.flatMap(({ columns }) =>
    Object.entries(columns).map(([name, { cell, doc }]) => ({ name, type: cell({}).name, doc })),
  );

/**
 * The schema of rows: all columns nullable, custom ones last; with `huggingface` metadata, so that `datasets` knows
 * them.
 *
 * @param parts names of the reward's parts; without any there is no column `reward_parts`.
 * @param metadata of the run: run id, seed, config as JSON, hashes of model, tokenizer and prompt, frame.
 * @param more columns that most runs don't need.
 * @throws {UsageError} for a custom column with a name that rows or shards use.
 */
export function rowSchema(
  parts: readonly string[],
  metadata: Readonly<Record<string, string>> = {},
  more: Omit<RowShape, 'parts'> = {},
): Schema {
  const shape = { ...more, parts };
  const own = Object.entries(more.columns ?? {});
  for (const [name] of own)
    if (takenNames.has(name.toLowerCase()))
      throw new UsageError(`column ${JSON.stringify(name)}: expected a name of its own; got one that rows have`);
  const fields = [
    ...table.flatMap(({ columns }) =>
      Object.entries(columns)
        .filter(([, { stands }]) => stands?.(shape) ?? true)
        .map(([name, { cell }]) => new Field(name, cell(shape).type, true)),
    ),
    ...own.map(([name, column]) => ownField(name, column)),
  ];
  const features = JSON.stringify({ info: { features: hubFeatures(fields) } });
  return new Schema(
    fields,
    new Map([...Object.entries(metadata), ['schema_version', SCHEMA_VERSION], ['huggingface', features]]),
  );
}

interface Completed {
  readonly tokens: readonly (readonly number[])[] | null;
  readonly log_probs: readonly (readonly number[])[] | null;
  readonly finish: readonly Completion['finish'][] | null;
  readonly entropies: readonly (readonly number[] | null)[] | null;
}

function completionsOf(
  texts: readonly string[],
  { tokens, log_probs: logProbs, finish, entropies }: Completed,
): Completion[] {
  const lengths = [tokens?.length, logProbs?.length, finish?.length];
  if (!tokens || !logProbs || !finish || lengths.some((length) => length !== texts.length)) {
    throw new DataError(
      `tokens, log_probs and finish: expected ${texts.length} each as texts has; got ${lengths.map((n) => n ?? 'none').join(', ')}`,
    );
  }
  return texts.map((written, g) => {
    const own = entropies?.[g];
    return {
      text: written,
      tokens: tokens[g],
      logProbs: logProbs[g],
      finish: finish[g],
      ...(own && { entropies: own }),
    };
  });
}
