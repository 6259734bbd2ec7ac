import { Field, Schema } from 'apache-arrow';
import { z } from 'zod';

import { defined } from '../../defined.js';
import { DataError, UsageError } from '../../errors.js';
import { PARSE_REASONS, type Box, type Completion, type Mask, type Row } from '../../records.js';
import { boxOfMask, maskArea } from '../mask.js';
import {
  among,
  bool,
  box,
  byName,
  double,
  float,
  int,
  list,
  long,
  mask,
  nullable,
  picture,
  prompt,
  scene,
  size,
  snakeCase,
  struct,
  text,
  words,
  type Cell,
} from './cells.js';
import { hubFeatures } from './hub-layout.js';
import { ownField, type OwnColumns } from './own-columns.js';

/**
 * Version of the columns, in the schema's metadata. Other columns are another version: `docs/row-schema.json` shows them,
 * `earlier.ts` reads those before, and `docs/rows.md` says what changed.
 */
export const SCHEMA_VERSION = '2';

/** Columns that follow from others of the row, or are the run's: `readRows` gives them where they are asked for. */
export interface Derived {
  readonly status: 'ok' | 'skipped';
  readonly seed?: number;
  readonly truthArea?: number;
  readonly truthBox?: Box;
  readonly truthAtEdge?: boolean;
  readonly maskAreas?: readonly (number | null)[];
  readonly maskBoxes?: readonly (Box | null)[];
  readonly masksAtEdge?: readonly (boolean | null)[];
}

/** A row with all that is stored about it. */
export type StoredRow = Row & Derived;

/** What decides which columns a schema has. */
export interface RowShape {
  /** Names of the reward's parts; each has a column `reward_NAME`. */
  readonly parts?: readonly string[];
  /** Names of the metrics that `score` adds; without any there is no column `scores`. */
  readonly scores?: readonly string[];
  /** Whether rows hold their images, not only where those are. */
  readonly images?: boolean;
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
  /** What `NAME` in the column's name stands for: there is a column for each. */
  readonly each?: (shape: RowShape) => readonly string[];
  readonly doc: string;
}

/** Keys of a row with the column, or the columns, that hold them. */
export interface Entry {
  readonly keys: readonly (keyof StoredRow)[];
  readonly columns: Readonly<Record<string, ColumnOf<unknown>>>;
  /** Whether every row needs it. */
  readonly required: boolean;
  /** Whether it is known before a completion, so that `replay` reads it. */
  readonly replayed: boolean;
  /** Keys of the row that it follows from; undefined for what stages add. */
  readonly derived?: readonly (keyof Row)[];
  /** Values by column; null or undefined where the row has none. @param run the schema's metadata. */
  readonly write: (row: Partial<Row>, run: Metadata) => Readonly<Record<string, unknown>>;
  /** The row's value from its columns; null if they have none. */
  readonly read: (values: Readonly<Record<string, unknown>>) => Partial<StoredRow>;
}

export type Metadata = ReadonlyMap<string, string>;

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

/** Columns that follow from keys of the row, or from the run. */
function derived<Values extends Partial<Derived>>(
  from: readonly (keyof Row)[],
  columns: { readonly [N in keyof Values]-?: ColumnOf<NonNullable<Values[N]>> },
  write: (row: Partial<Row>, run: Metadata) => Values,
): Entry {
  const keys = Object.keys(columns) as (keyof Derived)[];
  const named = keys.map((key) => [key, snakeCase(key)] as const);
  return {
    keys,
    columns: Object.fromEntries(named.map(([key, name]) => [name, (columns as Entry['columns'])[key]])),
    required: false,
    replayed: false,
    derived: from,
    write(row, run) {
      const values = write(row, run);
      return Object.fromEntries(named.map(([key, name]) => [name, values[key as keyof Values]]));
    },
    read: (values) =>
      Object.fromEntries(
        named.flatMap(([key, name]) =>
          values[name] === null || values[name] === undefined ? [] : [[key, values[name]]],
        ),
      ),
  };
}

function of<Value>(cell: Cell<Value>, doc: string): ColumnOf<Value> {
  return { cell: () => cell, doc };
}

/** Begins the name of a column of a reward's part. */
const PART = 'reward_';

const always = { required: true, replayed: true };
const replayed = { replayed: true };

/** All columns of a row, in their order in the schema. */
export const table: readonly Entry[] = [
  one('id', text, '`eEPOCH/INDEX/NAME`, unique in a run and the same in every run', always),
  several(
    ['image'],
    {
      image: {
        cell: ({ images = false }) => (images ? picture : text),
        doc: "path of the image, `table.tsv#start-end` for base64 in a table; null for scenes. With `write.images: bytes` a struct of the file's `bytes`, a PNG for scenes, and its `path`: the `Image()` of `datasets`",
      },
      scene: of(scene, 'a drawn scene: `kind`, `seed`, `index`, `rule`'),
    },
    ({ image }) => ('path' in image ? { image: image.path } : { scene: image.scene }),
    (values) => ({ image: values.scene ? { scene: values.scene } : { path: values.image ?? '' } }),
    replayed,
  ),
  one('truth', mask, 'the ground truth, at frame size', replayed),
  derived<Pick<Derived, 'truthArea' | 'truthBox' | 'truthAtEdge'>>(
    ['truth'],
    {
      truthArea: of(int, 'its pixels'),
      truthBox: of(box, 'the box around it, inclusive pixels x1, y1, x2, y2; null if it is empty'),
      truthAtEdge: of(bool, "whether it touches the frame's edge"),
    },
    ({ truth }) =>
      truth ? defined({ truthArea: maskArea(truth), truthBox: boxOfMask(truth), truthAtEdge: atEdge(truth) }) : {},
  ),
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
    words(1),
    "`foreground`, `referring`, a benchmark's name, `reason-sentence`, `reason-phrase`, or the kind of scene",
    always,
  ),
  one(
    'set',
    words(0),
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
  derived<Pick<Derived, 'seed'>>([], { seed: of(long, "the run's seed") }, (_, run) => {
    const seed = Number(run.get('seed') ?? NaN);
    return Number.isSafeInteger(seed) ? { seed } : {};
  }),
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
    '[G] boxes and points of each object, in pixels of `frame`; null where the answer could not be read',
  ),
  one(
    'parseReasons',
    list(nullable(among(words(3), z.enum(PARSE_REASONS)))),
    '[G] [why](#why-an-answer-was-not-read) it could not be read, or lies where nothing is; null where it was read',
  ),
  one('formats', list(float), '[G] 1 where every part of the format was there'),
  one('masks', list(nullable(mask)), '[G] at frame size; null without a prompt'),
  derived<Pick<Derived, 'maskAreas' | 'maskBoxes' | 'masksAtEdge'>>(
    ['masks'],
    {
      maskAreas: of(list(nullable(int)), '[G] pixels of each'),
      maskBoxes: of(list(nullable(box)), '[G] the box around each, as `truth_box`'),
      masksAtEdge: of(list(nullable(bool)), "[G] whether it touches the frame's edge"),
    },
    ({ masks }) =>
      masks
        ? {
            maskAreas: masks.map((one) => one && maskArea(one)),
            maskBoxes: masks.map((one) => (one && boxOfMask(one)) ?? null),
            masksAtEdge: masks.map((one) => one && atEdge(one)),
          }
        : {},
  ),
  several(
    ['rewards'],
    {
      rewards: of(
        list(float),
        "[G] totals of the parts that apply; NaN where none of those that count does, or where a reward of your own was NaN, which the row's mark says",
      ),
      reward_NAME: {
        cell: () => list(float),
        each: ({ parts = [] }) => parts,
        doc: "[G] a part by its name: `reward_format`, `reward_iou`, `reward_structure`, and [others](rewards.md) that have a weight; NaN where the part doesn't apply",
      },
    },
    ({ rewards }) => (rewards ? { rewards: rewards.total, ...renamed(rewards.byName, (part) => PART + part) } : {}),
    ({ rewards, ...parts }) =>
      rewards ? { rewards: { total: rewards, byName: renamed(known(parts), (name) => name.slice(PART.length)) } } : {},
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
    '`fit`: the `prompt`, as in `prompts`, `ious` (box alone, then after each click), the `text` to be taught',
    replayed,
  ),
  one('problem', text, '`think`: what is asked', replayed),
  one('thinking', text, '`think`: the thought with its tags; taught together with `solution`', replayed),
  one('solution', text, '`think`: box, points and labels as a policy writes them', replayed),
  derived<Pick<Derived, 'status'>>(
    ['skipped'],
    { status: of(among(words(2), z.enum(['ok', 'skipped'])), '`ok`, or `skipped` for marked rows') },
    ({ skipped }) => ({ status: skipped ? 'skipped' : 'ok' }),
  ),
  one('skipped', struct({ stage: text, reason: text }), '`stage` and `reason`, for marked rows'),
];

/** Whether a mask reaches the frame's edge. */
function atEdge(one: Mask): boolean {
  const [x1, y1, x2, y2] = boxOfMask(one) ?? [1, 1, -1, -1];
  return x1 === 0 || y1 === 0 || x2 === one.width - 1 || y2 === one.height - 1;
}

function renamed<Value>(
  values: Readonly<Record<string, Value>>,
  name: (before: string) => string,
): Record<string, Value> {
  return Object.fromEntries(Object.entries(values).map(([before, value]) => [name(before), value]));
}

/** The values that are not null. */
function known<Value>(values: Readonly<Record<string, Value | null>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(values).filter((entry): entry is [string, Value] => entry[1] !== null));
}

/** The columns of an entry under one shape, by name; also those that the schema lacks. */
export function columnsOf({ columns }: Entry, shape: RowShape): readonly (readonly [string, Cell])[] {
  return Object.entries(columns).flatMap(([name, { cell, each }]) => {
    const one = cell(shape);
    return each ? each(shape).map((part) => [name.replace('NAME', part), one] as const) : [[name, one] as const];
  });
}

/** Keys of a row that the table has columns for. */
export const rowKeys: ReadonlySet<string> = new Set(table.flatMap(({ keys, derived: own }) => (own ? [] : keys)));

/** Keys that every row needs; an image is in one of two columns. */
export const requiredKeys: readonly string[] = [
  'image',
  ...table.filter(({ required }) => required).flatMap(({ keys }) => keys),
];

/** Keys that `replay` reads. */
export const replayedKeys: readonly (keyof Row)[] = table
  .filter(({ replayed }) => replayed)
  .flatMap(({ keys }) => keys as readonly (keyof Row)[]);

/** Whether a custom column cannot have a name; SQL ignores case. */
export function isTaken(name: string): boolean {
  const lower = name.toLowerCase();
  return takenNames.has(lower) || lower.startsWith(PART);
}

const takenNames: ReadonlySet<string> = new Set(
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
 * @param parts names of the reward's parts; each has a column `reward_NAME`.
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
    if (isTaken(name))
      throw new UsageError(`column ${JSON.stringify(name)}: expected a name of its own; got one that rows have`);
  const fields = [
    ...table.flatMap((entry) =>
      columnsOf(entry, shape)
        .filter(([name]) => entry.columns[name]?.stands?.(shape) ?? true)
        .map(([name, { type }]) => new Field(name, type, true)),
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
