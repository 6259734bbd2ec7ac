import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { beforeAll, describe, expect, it } from 'vitest';

import { gains } from '../../../src/pipelines/run/evaluation.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import type { RunEvent } from '../../../src/pipelines/events.js';
import { run, type RunOptions } from '../../../src/pipelines/run/run.js';
import { folder, refusal } from '../files.js';

const STUB = fileURLToPath(new URL('../../fixtures/stub-policy.mjs', import.meta.url));

/** A file with a pipeline that learns, and one that evaluates it on six scenes. */
function pipelines({
  evaluate = 'judge',
  tally = 'tally: { constantBaseline: 3, shuffledImageBaseline: true, overlays: 1 }',
  policy = 'policy: { checkpoint: . }',
} = {}): string {
  const common = `operators: [${JSON.stringify(STUB)}]\n  segmenter: { kind: grabcut, size: 32 }`;
  const scenes = (count: number, seed: number): string =>
    `load: { scenes: { count: ${count}, seed: ${seed} }, frame: 64 }`;
  return folder().file(
    'all.yaml',
    `learn:
  ${common}
  ${policy}
  evaluate: ${evaluate}
  window: 2
  stages: [${scenes(8, 1)}, guess, mask, reward, tally: { constantBaseline: 4 }, learn]
judge:
  ${common}
  policy: { checkpoint: elsewhere }
  stages: [${scenes(6, 2)}, guess, mask, reward, ${tally}, write]
`,
  );
}

async function ran(
  file: string,
  options: RunOptions = {},
  set: readonly string[] = [],
): Promise<{ root: string; told: RunEvent[] }> {
  const pipeline = await readPipeline('learn', { pipelinesFile: file, set });
  const root = join(folder().path, 'run');
  const told: RunEvent[] = [];
  await run(pipeline, { folder: root, ...options, watch: (report) => (told.push(report), options.watch?.(report)) });
  return { root, told };
}

const json = (...path: string[]): unknown => JSON.parse(readFileSync(join(...path), 'utf8'));

describe('a run that evaluates', () => {
  let whole: Awaited<ReturnType<typeof ran>>;
  beforeAll(async () => void (whole = await ran(pipelines())));

  it('judges the policy as it was and as it became, on the same rows', () => {
    const { root, told } = whole;
    const gain = told.find((report) => report.kind === 'gain');
    expect(gain?.before.metrics['answer/hit']).toEqual({ mean: 0, error: 0, n: 6 });
    expect(gain?.after.metrics['answer/hit']).toEqual({ mean: 1, error: 0, n: 6 });
    expect(gain?.gains['answer/hit']).toEqual({ mean: 1, error: 0, n: 6 });
    expect(gain?.gains['reward']?.mean).toBeGreaterThan(0.2);
    expect(gain?.gains['baseline/another_scene']?.n).toBe(5);
    expect(gain?.after.constants).toEqual(gain?.before.constants);
    expect(json(root, 'gain.json')).toMatchObject({ name: 'judge', gains: { 'answer/hit': { mean: 1 } } });
    expect(readFileSync(join(root, 'gain.md'), 'utf8')).toMatch(
      /^\| right object \| 0\.000 ± 0\.000 \| 1\.000 ± 0\.000 \| \+1\.000 ± 0\.000 \|$/m,
    );
  });

  it('keeps each evaluation in a folder of its own', () => {
    const { root } = whole;
    expect(readdirSync(join(root, 'after')).toSorted()).toEqual([
      'checkpoints',
      'config.yaml',
      'metrics',
      'overlays',
      'rows',
      'summary.json',
      'summary.md',
    ]);
    expect(readdirSync(join(root, 'after', 'overlays')).toSorted()).toEqual([
      'best-1.png',
      'index.json',
      'random-1.png',
      'worst-1.png',
    ]);
    const [best] = json(root, 'after', 'overlays', 'index.json') as { file: string; id: string; reward: number }[];
    expect(best).toEqual({
      file: 'best-1.png',
      id: expect.stringMatching(/^e0\/\d\/pick-2-\d$/) as string,
      reward: expect.closeTo(2, 0) as number,
      answers: [{ text: '', iou: expect.closeTo(1, 0) as number, reward: best.reward }],
    });
    expect(json(root, 'before', 'summary.json')).toMatchObject({ name: 'judge', rows: 6, marked: {} });
    expect(json(root, 'summary.json')).toMatchObject({ name: 'learn', rows: 8 });
    expect(readFileSync(join(root, 'after', 'config.yaml'), 'utf8')).toContain(join(root, 'checkpoints', 'step-8'));
  });

  it('shows what looking at nothing earns beside every step, once it is known', async () => {
    const { told } = await ran(pipelines(), {}, ['evaluate=null']);
    const baselines = told.flatMap((report) => (report.kind === 'step' ? [report.metrics['baseline/constant']] : []));
    expect(baselines.slice(0, 2)).toEqual([undefined, undefined]);
    expect(baselines.at(-1)).toBeGreaterThan(1);
    expect(told.some(({ kind }) => kind === 'evaluation')).toBe(false);
  });

  it('tells of evaluations apart from the run itself', () => {
    const { told } = whole;
    const kinds = told.flatMap((report) =>
      report.kind === 'evaluation' && ['start', 'tally', 'end'].includes(report.report.kind)
        ? [`${report.when} ${report.report.kind}`]
        : ['start', 'end', 'gain'].includes(report.kind)
          ? [report.kind]
          : [],
    );
    expect(kinds).toEqual([
      'before start',
      'before tally',
      'before end',
      'start',
      'end',
      'after start',
      'after tally',
      'after end',
      'gain',
    ]);
  });

  it('evaluates what came of fewer steps', async () => {
    const { root, told } = await ran(pipelines(), { maxSteps: 2 });
    expect(readdirSync(join(root, 'checkpoints'))).toEqual([expect.stringMatching(/^step-[23]$/)]);
    expect(told.at(-1)?.kind).toBe('gain');
  });

  it.each([
    ['before the first step', 'evaluation'],
    ['while it learns', 'step'],
  ])('does not come after a run that was interrupted %s', async (_, kind) => {
    const cancel = new AbortController();
    const { root, told } = await ran(pipelines(), {
      signal: cancel.signal,
      watch: (report) => report.kind === kind && cancel.abort(),
    });
    expect(existsSync(join(root, 'after'))).toBe(false);
    expect(told.at(-1)).toMatchObject({ kind: 'end', summary: { stopped: 'cancelled' } });
    expect(told.some((report) => report.kind === 'gain')).toBe(false);
  });

  it('is interrupted, too, where what comes after is', async () => {
    const cancel = new AbortController();
    const pipeline = await readPipeline('learn', { pipelinesFile: pipelines() });
    const watch = (report: RunEvent): void =>
      void (report.kind === 'evaluation' && report.when === 'after' && cancel.abort());
    expect((await run(pipeline, { folder: join(folder().path, 'run'), signal: cancel.signal, watch })).stopped).toBe(
      'cancelled',
    );
  });

  it('writes down both pipelines, so that the file reads back', async () => {
    const { root } = whole;
    const again = await readPipeline(join(root, 'config.yaml'));
    expect([again.name, again.evaluation?.name]).toEqual(['learn', 'judge']);
  });
});

describe('evaluate', () => {
  const read = (file: string, ...set: string[]): Promise<unknown> =>
    readPipeline('learn', { pipelinesFile: file, set });

  it.each([
    [
      'an unknown name',
      { evaluate: 'jugde' },
      'all.yaml:5:13  evaluate: expected another pipeline of this file; got "jugde"; known: judge; nearest: judge',
    ],
    [
      'itself',
      { evaluate: 'learn' },
      'all.yaml:5:13  evaluate: expected another pipeline of this file; got "learn"; known: judge',
    ],
    [
      'a pipeline that does not count',
      { tally: 'parse: {}' },
      'all.yaml:5:13  evaluate: expected a pipeline with the stage tally; got "judge" without',
    ],
    ['a number', { evaluate: '3' }, 'all.yaml:5:13  evaluate: expected a string; got 3'],
    [
      'training without a policy',
      { policy: '' },
      'all.yaml:5:13  evaluate: expected the key "policy", whose training is to be evaluated; got none',
    ],
    [
      'mistakes in the other pipeline',
      { tally: 'tally: { constantBaseline: many }' },
      'all.yaml:12:112  tally.constantBaseline: expected a number; got "many"',
    ],
  ])('refuses %s', async (_, given, message) => expect(await refusal(read(pipelines(given)))).toBe(message));

  it('takes the policy of the pipeline that it is evaluated for', async () => {
    const file = pipelines();
    const pipeline = await readPipeline('learn', { pipelinesFile: file, set: ['policy.threads=1'] });
    expect(pipeline.evaluation?.settings.policy).toEqual(pipeline.settings.policy);
    expect(await refusal(readPipeline('judge', { pipelinesFile: file }))).toContain(
      'policy.checkpoint: expected a file or folder; got "elsewhere"',
    );
  });

  it('is refused where --set names what is not there', async () => {
    expect(await refusal(read(pipelines(), 'evaluate=gone'))).toMatch(
      /^--set evaluate=gone {2}evaluate: expected another pipeline/,
    );
  });

  it('is refused once where the policy is not there', async () => {
    expect((await refusal(read(pipelines(), 'policy.checkpoint=gone'))).split('\n')).toHaveLength(1);
  });
});

describe('gains', () => {
  const values = (...pairs: [string, number][]) => new Map(pairs.map(([id, hit]) => [id, { hit }]));
  it('compares rows that both have', () => {
    expect(gains(values(['a', 0], ['b', 1], ['c', NaN]), values(['a', 1], ['b', 1], ['c', 1], ['d', 1]))).toEqual({
      hit: { mean: 0.5, error: 0.5, n: 2 },
    });
  });
  it('has none without rows', () => expect(gains(new Map(), new Map())).toEqual({}));
});
