import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { readRows } from '../../../src/io/arrow/shard.js';
import { readBenchmark } from '../../../src/pipelines/store/artifacts.js';
import { benchmarkTable } from '../../../src/report/benchmark-table.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import type { RunEvent } from '../../../src/pipelines/events.js';
import { run } from '../../../src/pipelines/run/run.js';
import { plain } from '../../../src/report/table.js';
import type { Row } from '../../../src/records.js';
import { mmbenchTable, picture, placed, popeFolder } from '../../io/benchmarks/published.js';
import { folder, refusal } from '../files.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const READER = fileURLToPath(new URL('../../fixtures/stub-reader.mjs', import.meta.url));
const tiny = join(ROOT, 'data/models/tiny');
const CHECKPOINT = existsSync(join(tiny, 'config.json'))
  ? tiny
  : join(ROOT, 'test/golden/fixtures/policy/tiny-qwen2_5_vl-tied-bf16');

function pipeline(load: string, rollout = 'group: 1, temperature: 0, maxTokens: 6', settings = ''): string {
  return folder().file(
    'benchmark.yaml',
    `policy: { checkpoint: ${JSON.stringify(CHECKPOINT)}, prompt: demo, batch: 2 }
${settings}
stages:
  - load: { ${load}, frame: 56 }
  - rollout: { ${rollout} }
  - answer
  - write
`,
  );
}

/** Someone who always says the same in place of a policy. */
function said(load: string, text: string): string {
  return folder().file(
    'benchmark.yaml',
    `operators: [${JSON.stringify(READER)}]\nstages: [load: { ${load}, frame: 56, shuffle: false }, say: { text: ${JSON.stringify(text)} }, answer, write]\n`,
  );
}

async function ran(file: string): Promise<{ root: string; told: RunEvent[]; rows: Row[] }> {
  const root = join(folder().path, 'run');
  const told: RunEvent[] = [];
  await run(await readPipeline(file), { folder: root, watch: (report) => void told.push(report) });
  const rows: Row[] = [];
  for await (const row of readRows(join(root, 'rows'))) rows.push(row);
  return { root, told, rows };
}

describe('a benchmark as a pipeline', () => {
  it('answers POPE, and puts what it came to into the run', async () => {
    const { root, told, rows } = await ran(pipeline(`benchmark: pope, root: ${await popeFolder()}`));
    const report = told.find(({ kind }) => kind === 'benchmark');
    const stored = readBenchmark(root);
    expect(report).toMatchObject({ name: 'benchmark', result: { benchmark: 'pope', questions: 4, marked: 0 } });
    expect(stored).toMatchObject({ name: 'benchmark', benchmark: 'pope', questions: 4, marked: 0 });
    expect(stored.scores['accuracy']).toBe(rows.filter(({ correct }) => correct === 1).length / 4);
    expect(stored.unread).toBe(rows.filter(({ answer }) => answer === null).length);
    expect(Object.keys(stored.parts)).toEqual(['adversarial', 'random']);
    expect(rows.map(({ question, answer, correct }) => (answer === question?.answer ? 1 : 0) === correct)).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(rows[0]?.prompt).toContain("You're a helpful visual assistant.");
    expect(readFileSync(join(root, 'benchmark.md'), 'utf8')).toContain('| questions | 4 |');
  });

  it('answers MMBench from pictures inside the table, in every order of the options', async () => {
    const path = join(await mmbenchTable(), 'mmbench.tsv');
    const { root, rows } = await ran(pipeline(`benchmark: mmbench, root: ${path}`));
    const { questions, scores, parts } = readBenchmark(root);
    expect([questions, rows.length]).toEqual([11, 11]);
    expect(rows.map(({ original }) => original)).toEqual(rows.map(() => ({ width: 28, height: 28 })));
    expect(scores['circular']).toBeLessThanOrEqual(scores['vanilla'] ?? NaN);
    expect(Object.keys(parts)).toEqual([
      'perception',
      'perception/colour',
      'perception/count',
      'perception/object',
      'reasoning',
      'reasoning/weather',
    ]);
  });

  it.each([
    ['Yes.', { questions: 4, unread: 0, scores: { accuracy: 0.5, precision: 0.5, recall: 1, f1: 2 / 3, yesRate: 1 } }],
    [
      '<think>yes</think>no',
      { questions: 4, unread: 0, scores: { accuracy: 0.5, precision: NaN, recall: 0, f1: 0, yesRate: 0 } },
    ],
    ['a kite?', { questions: 4, unread: 4, scores: { accuracy: 0, precision: NaN, recall: 0, f1: 0, yesRate: 0 } }],
  ])('scores POPE for whoever always says %j', async (text, expected) => {
    const { root, rows } = await ran(said(`benchmark: pope, root: ${await popeFolder()}`, text));
    expect(readBenchmark(root)).toMatchObject({ ...expected, parts: { random: expected.scores } });
    expect(rows.map(({ correct }) => correct)).toEqual(
      rows.map(({ question, answer }) => (answer === question?.answer ? 1 : 0)),
    );
  });

  // Of the four questions, 11 has A as published; in one order each, every other has A as well.
  it('gives nothing in circles to whoever always says A', async () => {
    const { root, rows } = await ran(
      said(`benchmark: mmbench, root: ${join(await mmbenchTable(), 'mmbench.tsv')}`, 'A'),
    );
    expect(readBenchmark(root)).toMatchObject({
      questions: 11,
      unread: 0,
      scores: { circular: 0, vanilla: 0.25 },
      parts: { perception: { circular: 0, vanilla: 1 / 3 } },
    });
    expect(rows.filter(({ correct }) => correct === 1)).toHaveLength(4);
  });

  it('marks a question whose picture cannot be read, and leaves it out of the numbers', async () => {
    const line = (id: number, image: string): string =>
      `${JSON.stringify({ question_id: id, image, text: 'Is it?', label: 'yes' })}\n`;
    const root = placed({
      'coco_pope_popular.json': line(1, 'one.png') + line(2, 'none.png'),
      'val2014/one.png': await picture(40),
    });
    const { root: out } = await ran(pipeline(`benchmark: pope, root: ${root}`, undefined, 'tolerate: 1'));
    expect(readBenchmark(out)).toMatchObject({ questions: 1, marked: 1 });
  });

  it.each([
    [
      'benchmark: pope, root: ., instruction: look',
      undefined,
      'load.instruction: expected the questions of the benchmark; got another instruction',
    ],
    [
      'benchmark: pope, set: camo, root: .',
      undefined,
      'load.benchmark: expected either a set or a benchmark; got both',
    ],
    ['benchmark: mme, root: ., images: .', undefined, 'load.images: expected the pictures of mme; got others'],
    [
      'benchmark: mme, root: .',
      undefined,
      'expected subtasks such as existence/*.txt, or MME_Benchmark with them; got benchmark.yaml; no pictures',
    ],
    ['scenes: { count: 1 }', undefined, 'answer needs the column "question", which no earlier stage adds'],
  ])('refuses %s', async (load, rollout, message) =>
    expect(await refusal(readPipeline(pipeline(load, rollout)))).toContain(message),
  );

  it('refuses several answers a question', async () => {
    const message = await refusal(readPipeline(pipeline(`benchmark: pope, root: ${await popeFolder()}`, 'group: 4')));
    expect(message).toContain('answer: expected rollout.group of 1, for one answer a question; got 4');
  });
});

describe('tables of benchmarks', () => {
  const before = {
    benchmark: 'mme',
    questions: 4,
    unread: 1,
    marked: 0,
    scores: { perception: 150, cognition: NaN },
    parts: { OCR: { accuracy: 0.75, accuracyPlus: 0.5, score: 125 } },
  } as const;

  it('have a line a part', () => {
    expect(plain(benchmarkTable(before))).toBe(
      [
        '                perception  cognition  accuracy  accuracyPlus  score',
        'mme             150.0       -',
        '  OCR                                  0.750     0.500         125.0',
        'questions       4',
        'unread answers  1',
        'marked          0',
      ].join('\n'),
    );
  });

  it('are read from a run alone', async () => {
    const root = folder().path;
    expect(await refusal(Promise.resolve().then(() => readBenchmark(root)))).toContain(
      'benchmark: expected what a run with the stage answer wrote',
    );
  });
});
