import fc from 'fast-check';
import { Schema, tableFromIPC, tableToIPC, Table } from 'apache-arrow';
import { describe, expect, it } from 'vitest';

import { DataError } from '../../../src/errors.js';
import { rowSchema } from '../../../src/io/arrow/columns.js';
import { column } from '../../../src/io/arrow/own-columns.js';
import { fromBatch } from '../../../src/io/arrow/batch.js';
import { toBatch, toCells } from '../../../src/io/arrow/rows.js';
import { PARSE_REASONS, type Row } from '../../../src/records.js';

/** A record as the pipeline makes them; without `required` all keys are there. */
function record<T, K extends keyof T = keyof T>(model: { [P in keyof T]: fc.Arbitrary<T[P]> }, required?: K[]) {
  const requiredKeys = required ?? (Object.keys(model) as K[]);
  return fc.record<T, K>(model, { requiredKeys, noNullPrototype: true });
}
const words = fc.string({ unit: 'binary', maxLength: 12 });
const int = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const float = fc.float({ noDefaultInfinity: false, noNaN: false });
const number = fc.double();
const list = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 4 });
const size = record({ width: fc.integer({ min: 1, max: 9 }), height: fc.integer({ min: 1, max: 9 }) });
const box = fc.tuple(int, int, int, int);

const mask = size.chain(({ width, height }) =>
  fc.array(fc.integer({ min: 1, max: width * height }), { maxLength: 8 }).map((cuts) => {
    const edges = [...new Set(cuts)].sort((a, b) => a - b);
    const ends = edges.at(-1) === width * height ? edges : [...edges, width * height];
    return { width, height, counts: ends.map((end, i) => end - (ends[i - 1] ?? 0)) };
  }),
);
const prompt = record({
  frame: size,
  objects: list(
    record(
      {
        box,
        points: list(record({ x: int, y: int, label: fc.constantFrom(0 as const, 1 as const) })),
        everyPoint: fc.constant(true as const),
      },
      ['points'],
    ),
  ),
});
const scene = record({
  kind: fc.constantFrom('main' as const, 'pick' as const),
  seed: int,
  index: int,
  rule: fc.constantFrom('warm' as const, 'striped' as const, 'largest' as const, 'any' as const),
});
const completion = record(
  {
    text: words,
    tokens: list(int),
    logProbs: list(float),
    finish: fc.constantFrom('stop' as const, 'length' as const),
    entropies: list(float),
  },
  ['text', 'tokens', 'logProbs', 'finish'],
);
const byName = record({ format: list(float), iou: list(float) }, []);

const question = record({
  benchmark: fc.constantFrom('pope' as const, 'mme' as const, 'mmbench' as const, 'ai2d' as const),
  part: words,
  item: words,
  turn: int,
  options: list(words),
  answer: words,
});
/** Both columns of `answer`, or neither. */
const answered = fc.oneof(
  fc.constant({}),
  record({ answer: fc.option(words), correct: fc.constantFrom(0 as const, 1 as const) }),
);

const stored: fc.Arbitrary<Row> = record(
  {
    id: words,
    image: fc.oneof(record({ path: words }), record({ scene })),
    task: words,
    set: words,
    frame: size,
    original: size,
    truth: mask,
    ignore: mask,
    truthPath: words,
    instruction: words,
    question,
    candidates: record({ boxes: list(box), names: list(words), target: int, mask }),
    skipped: record({ stage: words, reason: words }),
    prompt: words,
    promptTokens: list(int),
    completions: list(completion),
    policyVersion: int,
    sampling: record({
      temperature: number,
      repetitionPenalty: number,
      topK: int,
      topP: number,
      minP: number,
      maxTokens: int,
    }),
    prompts: list(fc.option(prompt)),
    parseReasons: list(fc.option(fc.constantFrom(...PARSE_REASONS))),
    formats: list(float),
    masks: list(fc.option(mask)),
    rewards: record({ total: list(float), byName }),
    scores: record({ structure: float, 'lisa/iou': float }, []),
    advantages: list(float),
    step: int,
    fitted: record({ prompt, ious: list(float), text: words }),
  },
  ['id', 'image', 'task', 'frame', 'original'],
);
const row: fc.Arbitrary<Row> = fc.tuple(stored, answered).map(([own, columns]) => ({ ...own, ...columns }));
const sample: Row = {
  id: '0/0/a',
  image: { path: 'a.png' },
  task: 'segment',
  frame: { width: 4, height: 3 },
  original: { width: 8, height: 6 },
};

describe('toBatch and fromBatch', () => {
  it('give every row back, NaN and what it lacks included', () => {
    const schema = rowSchema(['format', 'iou'], { run: 'test' }, { scores: ['structure', 'lisa/iou'], ignore: true });
    fc.assert(
      fc.property(fc.array(row, { maxLength: 5 }), (rows) => {
        const batch = toBatch(
          rows.map((one) => toCells(one, schema)),
          schema,
        );
        const { batches } = tableFromIPC(tableToIPC(new Table(schema, [batch]), 'stream'));
        expect(batches.flatMap((batch) => fromBatch(batch))).toStrictEqual(rows);
      }),
      { numRuns: 150 },
    );
  });

  it('keep a row without parts where the schema has no column for them', () => {
    const schema = rowSchema([]);
    const rows: Row[] = [{ ...sample, rewards: { total: [0.5, NaN], byName: {} } }];
    expect(
      fromBatch(
        toBatch(
          rows.map((one) => toCells(one, schema)),
          schema,
        ),
      ),
    ).toStrictEqual(rows);
  });

  it('refuses columns of another version', () => {
    const schema = rowSchema([]);
    schema.metadata.set('schema_version', '0');
    expect(() => fromBatch(toBatch([], schema))).toThrow('columns of rows: expected schema_version 1 or 2; got "0"');
    schema.metadata.set('schema_version', '3');
    expect(() => fromBatch(toBatch([], new Schema(schema.fields, schema.metadata)))).toThrow(
      'columns of rows: expected schema_version 1 or 2; got "3"; way out: a newer segr1',
    );
  });

  it('refuses completions whose columns do not fit together, and words that it does not know', () => {
    const schema = rowSchema([]);
    const cells = toCells(sample, schema);
    const torn = toBatch(
      [{ ...cells, texts: ['a', 'b'], tokens: [[1]], log_probs: null, finish: ['stop', 'stop'] }],
      schema,
    );
    expect(() => fromBatch(torn)).toThrow(
      'row 0/0/a  tokens, log_probs and finish: expected 2 each as texts has; got 1, none, 2',
    );
    expect(() => fromBatch(toBatch([{ ...cells, finish: ['later' as 'stop'] }], schema))).toThrow(
      'row 0 of a batch, column finish.0',
    );
  });
});

describe('toCells', () => {
  it.each([0.5, NaN, 2 ** 31])('refuses %s where the column holds integers', (step) => {
    const act = () => toCells({ ...sample, step }, rowSchema([]));
    expect(act).toThrow(DataError);
    expect(act).toThrow(`row 0/0/a  a column of 32-bit integers: expected one; got ${step}`);
  });

  it('refuses a part of the reward that the schema lacks', () => {
    const rewards = { total: [1], byName: { structure: [1] } };
    expect(() => toCells({ ...sample, rewards }, rowSchema(['format', 'iou']))).toThrow(
      'row 0/0/a  parts of the reward: expected format, iou; got "structure"',
    );
  });

  it('refuses a score that the schema lacks', () => {
    expect(() => toCells({ ...sample, scores: { mae: 0 } }, rowSchema([], {}, { scores: ['structure'] }))).toThrow(
      'row 0/0/a  scores: expected structure; got "mae"',
    );
  });

  it('writes a mask as COCO has it: height first, counts as bytes', () => {
    const cells = toCells({ ...sample, truth: { width: 4, height: 3, counts: [5, 2, 5] } }, rowSchema([]));
    // pycocotools 2.0.11: frPyObjects({'size': [3, 4], 'counts': [5, 2, 5]}, 3, 4)['counts']
    expect(cells.truth).toEqual({ size: [3, 4], counts: new TextEncoder().encode('525') });
  });

  it.each([
    [
      'difficulty',
      0.7,
      "column \"difficulty\": expected one of the schema's; got 0.7; way out: rowSchema(…, { columns: { difficulty: column.float('…') } })",
    ],
    [
      'ignore',
      { width: 1, height: 1, counts: [1] },
      'column "ignore": expected one of the schema\'s; got {"width":1,"height":1,"counts":[1]}; way out: rowSchema(…, { ignore: true })',
    ],
  ])('refuses %s where the schema has no column for it', (key, value, message) => {
    const act = () => toCells({ ...sample, [key]: value }, rowSchema([]));
    expect(act).toThrow(DataError);
    expect(act).toThrow(`row 0/0/a  ${message}`);
  });
});

describe("columns of one's own", () => {
  const columns = {
    difficulty: column.float('how hard it is'),
    tries: column.int('how often'),
    seen: column.bool('whether anybody saw it'),
    note: column.text('what was said'),
    each: column.list(column.float('how hard each answer was')),
    words: column.list(column.list(column.text('words by answer'))),
    more: column.json('anything else'),
  };
  const own: fc.Arbitrary<Row> = record(
    {
      difficulty: number,
      tries: int,
      seen: fc.boolean(),
      note: words,
      each: list(number),
      words: list(list(words)),
      more: fc
        .jsonValue({ maxDepth: 2 })
        .filter((value) => value !== null)
        // JSON.stringify writes -0 as 0.
        .map((value): unknown => JSON.parse(JSON.stringify(value))),
    },
    [],
  ).map((values) => ({ ...sample, ...values }));

  it('come back as they went in, to the bit, and are lacking where a row lacks them', () => {
    const schema = rowSchema([], {}, { columns });
    fc.assert(
      fc.property(fc.array(own, { maxLength: 4 }), (rows) => {
        const batch = toBatch(
          rows.map((one) => toCells(one, schema)),
          schema,
        );
        const { batches } = tableFromIPC(tableToIPC(new Table(schema, [batch]), 'stream'));
        expect(batches.flatMap((batch) => fromBatch(batch))).toStrictEqual(rows);
      }),
      { numRuns: 100 },
    );
  });

  it('stand behind the others, in `huggingface` as well', () => {
    const { fields, metadata } = rowSchema([], {}, { columns });
    expect(fields.slice(-7).map(({ name, type }) => [name, String(type)])).toEqual([
      ['difficulty', 'Float64'],
      ['tries', 'Int32'],
      ['seen', 'Bool'],
      ['note', 'Utf8'],
      ['each', 'List<Float64>'],
      ['words', 'List<List<Utf8>>'],
      ['more', 'Utf8'],
    ]);
    const { features } = JSON.parse(metadata.get('huggingface') ?? '').info;
    expect(features).toMatchObject({
      difficulty: { dtype: 'float64', _type: 'Value' },
      seen: { dtype: 'bool', _type: 'Value' },
    });
  });

  it.each([
    ['difficulty', 'hard', 'expected a number; got "hard"'],
    ['tries', 0.5, 'expected a 32-bit integer; got 0.5'],
    ['tries', NaN, 'expected a 32-bit integer; got NaN'],
    ['seen', 1, 'expected true or false; got 1'],
    ['note', 3, 'expected a text; got 3'],
    ['each', 3, 'expected a list of numbers; got 3'],
    ['each', [0, null], 'item 1: expected a number; got null'],
    ['words', ['a'], 'item 0: expected a list of texts; got "a"'],
    ['more', () => 0, 'expected JSON; got function'],
    ['more', [3n], 'expected JSON; got [ 3n ]'],
  ])('%s refuses %o', (name, value, message) => {
    expect(columns[name as keyof typeof columns].misfit(value)).toBe(message);
    expect(() => toCells({ ...sample, [name]: value }, rowSchema([], {}, { columns }))).toThrow(
      `row 0/0/a  column "${name}": ${message}`,
    );
  });

  it.each(['step', 'texts', 'Step', 'policyversion', 'truth_area', 'truthArea', 'reward_iou', 'Reward_own'])(
    'cannot be called %s',
    (name) => {
      expect(() => rowSchema([], {}, { columns: { [name]: column.int('…') } })).toThrow('expected a name of its own');
    },
  );
});
