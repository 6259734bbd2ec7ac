import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { tableFromIPC } from 'apache-arrow';
import { beforeAll, describe, expect, it } from 'vitest';

import { readRows } from '../../../src/io/arrow/shard.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import type { RunEvent, Summary } from '../../../src/pipelines/events.js';
import { run, type RunOptions } from '../../../src/pipelines/run/run.js';
import { readState } from '../../../src/pipelines/store/checkpoint-state.js';
import type { Row } from '../../../src/records.js';
import { folder, refusal } from '../files.js';

const TINY = fileURLToPath(new URL('../../../data/models/tiny', import.meta.url));
const EVALUATE = 'evaluate: { pipeline: judge, every: 2 }';

/** Four steps on two groups each, and three scenes on which they are judged. */
function pipelines({ evaluate = EVALUATE, checkpoints = '{ every: 2, keep: 9 }', judge = '' } = {}): string {
  const common = `policy: { checkpoint: ${JSON.stringify(TINY)}, workers: 2, threads: 1, batch: 2 }\n  segmenter: { kind: grabcut, size: 32 }`;
  return folder().file(
    'all.yaml',
    `learn:
  seed: 7
  window: 2
  ${common}
  checkpoints: ${checkpoints}
  ${evaluate}
  stages:
    - load:      { scenes: { rule: warm, count: 8 }, frame: 112 }
    - rollout:   { group: 2, maxTokens: 44 }
    - parse
    - mask
    - reward
    - advantage: { scale: none }
    - update:    { objective: dapo, learningRate: 3.0e-4, groupsPerStep: 2 }
    - write
judge:
  window: 2
  ${common}
  stages:
    - load:      { scenes: { rule: warm, count: 3, seed: 1000003 }, frame: 112, shuffle: false }
    - rollout:   { group: 1, temperature: 0, maxTokens: 44 }
    - parse
    - mask
    - reward
    - tally:     { constantBaseline: 2 }
    ${judge || '- write'}
`,
  );
}

interface Ran {
  readonly root: string;
  readonly told: readonly RunEvent[];
  readonly summary: Summary;
}

async function ran(
  file: string,
  { folder: root = join(folder().path, 'run'), ...options }: RunOptions = {},
  name = 'learn',
  set: readonly string[] = [],
): Promise<Ran> {
  const told: RunEvent[] = [];
  const pipeline = await readPipeline(name, { pipelinesFile: file, set });
  const summary = await run(pipeline, {
    folder: root,
    ...options,
    watch: (report) => (told.push(report), options.watch?.(report)),
  });
  return { root, told, summary };
}

async function rowsOf(root: string): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const row of readRows(join(root, 'rows'))) rows.push(row);
  return rows;
}

type Metrics = Readonly<Record<string, number | null>>;
const metricsOf = (root: string): Metrics[] =>
  readFileSync(join(root, 'metrics/metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { metrics: Metrics }).metrics);
const parts = (metrics: Metrics, evaluated: boolean): Metrics =>
  Object.fromEntries(Object.entries(metrics).filter(([name]) => name.startsWith('eval_') === evaluated));
const bytes = (root: string, step: number): string[] =>
  ['model.safetensors', 'optimizer.safetensors'].map((file) =>
    readFileSync(join(root, `checkpoints/step-${step}`, file)).toString('base64'),
  );
const tallyOf = (told: readonly RunEvent[], when?: string): unknown =>
  told
    .flatMap((report) => (report.kind === 'evaluation' && report.when === when ? [report.report] : [report]))
    .find(({ kind }) => kind === 'tally');

describe('a run that is judged every two steps', () => {
  let whole: Ran;
  beforeAll(async () => void (whole = await ran(pipelines())), 120_000);

  it('learns what one learns that is not, bit by bit', async () => {
    const { root } = await ran(pipelines({ evaluate: '' }));
    expect(await rowsOf(whole.root)).toEqual(await rowsOf(root));
    expect(bytes(whole.root, 4)).toEqual(bytes(root, 4));
    expect(metricsOf(whole.root).map((metrics) => parts(metrics, false))).toEqual(metricsOf(root));
  });

  it('has what it came to among the metrics of those steps', () => {
    const found = metricsOf(whole.root).map((metrics) => parts(metrics, true));
    expect(found.map((metrics) => Object.keys(metrics).length > 5)).toEqual([false, true, false, true]);
    const told = whole.told.flatMap((report) =>
      report.kind === 'evaluated' ? [[report.step, JSON.parse(JSON.stringify(report.metrics))]] : [],
    );
    expect(told).toEqual([
      [2, found[1]],
      [4, found[3]],
    ]);
    expect(found[1]).not.toEqual(found[3]);
    const table = tableFromIPC(readFileSync(join(whole.root, 'metrics/metrics.arrow'))).toArray() as Record<
      string,
      unknown
    >[];
    for (const name of Object.keys(found[1] ?? {}))
      expect(table.map((row) => typeof row[name])).toEqual([
        'object',
        typeof found[1]?.[name],
        'object',
        typeof found[3]?.[name],
      ]);
  });

  it('comes to what evaluating the checkpoint comes to, bit by bit', async () => {
    const { root, told } = await ran(pipelines(), {}, 'judge', [
      `policy.checkpoint=${join(whole.root, 'checkpoints/step-2')}`,
    ]);
    expect(tallyOf(whole.told, 'step-2')).toEqual(tallyOf(told));
    const asTheyAre = (rows: readonly Row[]): unknown => rows.map((row) => ({ ...row, policyVersion: 0 }));
    expect(asTheyAre(await rowsOf(join(whole.root, 'evaluations/step-2')))).toEqual(asTheyAre(await rowsOf(root)));
    expect((await rowsOf(join(whole.root, 'evaluations/step-2'))).map(({ policyVersion }) => policyVersion)).toEqual([
      2, 2, 2,
    ]);
  });

  it('comes to what evaluating the adapter comes to, where one learns', async () => {
    const first = await ran(pipelines(), { maxSteps: 2 }, 'learn', [
      'policy.train={ lora: { rank: 4, targets: [q_proj, v_proj] } }',
      'update.learningRate=1e-2',
    ]);
    const { told } = await ran(pipelines(), {}, 'judge', [`policy.adapter=${join(first.root, 'checkpoints/step-2')}`]);
    expect(tallyOf(first.told, 'step-2')).toEqual(tallyOf(told));
    expect(tallyOf(first.told, 'step-2')).not.toEqual(tallyOf(first.told, 'before'));
  });

  it('is not judged again after its last step', () => {
    expect(readdirSync(join(whole.root, 'evaluations')).toSorted()).toEqual(['step-2', 'step-4']);
    expect(existsSync(join(whole.root, 'after'))).toBe(false);
    expect(whole.told.find((report) => report.kind === 'gain')?.after).toEqual(
      (tallyOf(whole.told, 'step-4') as { tally: unknown }).tally,
    );
  });

  it('opens no second policy for it: the checkpoint that it is told of need not be there', async () => {
    const { root, told } = await ran(pipelines({ checkpoints: '{ every: 100 }' }), { maxSteps: 3 });
    expect(readdirSync(join(root, 'checkpoints'))).toEqual(['step-3']);
    expect(readFileSync(join(root, 'evaluations/step-2/config.yaml'), 'utf8')).toContain(
      join(root, 'checkpoints/step-2'),
    );
    expect(told.flatMap((report) => (report.kind === 'evaluated' ? [report.step] : []))).toEqual([2]);
    expect(existsSync(join(root, 'after', 'summary.json'))).toBe(true);
  });

  it.each([
    ['', Math.max],
    ['-', Math.min],
  ])(
    'keeps the checkpoint that was judged best, by %seval_…, and writes one wherever it is judged',
    async (sign, best) => {
      const found = metricsOf(whole.root).map((metrics) => parts(metrics, true));
      const name =
        Object.keys(found[1] ?? {}).find(
          (one) => one.startsWith('eval_reward') && found[1]?.[one] !== found[3]?.[one],
        ) ?? '';
      const at = [0, 1, 2, 3].find(
        (step) => found[step]?.[name] === best(found[1]?.[name] ?? NaN, found[3]?.[name] ?? NaN),
      );
      const { root } = await ran(pipelines({ checkpoints: `{ every: 3, keep: 1, best: '${sign}${name}' }` }));
      expect(readdirSync(join(root, 'checkpoints')).toSorted()).toEqual(
        [...new Set([`step-${(at ?? NaN) + 1}`, 'step-4'])].toSorted(),
      );
    },
  );

  it.each([
    [2, ['step-2']],
    [4, ['step-2', 'step-4']],
  ])(
    'writes step %i down where the evaluation behind it is interrupted, and makes up for it',
    async (step, written) => {
      const cancel = new AbortController();
      const file = pipelines();
      const watch = (report: RunEvent): void =>
        void (
          report.kind === 'evaluation' &&
          report.when === `step-${step}` &&
          report.report.kind === 'row' &&
          cancel.abort()
        );
      const first = await ran(file, { signal: cancel.signal, watch });
      expect([first.summary.stopped, readdirSync(join(first.root, 'checkpoints')).toSorted()]).toEqual([
        'cancelled',
        written,
      ]);
      expect((await readState(join(first.root, `checkpoints/step-${step}`))).evaluated).toBe(step);
      expect(parts(metricsOf(first.root)[step - 1] ?? {}, true)).toEqual({});

      const { root } = await ran(file, { folder: first.root, resume: true });
      expect(metricsOf(root)).toEqual(metricsOf(whole.root));
      expect(await rowsOf(root)).toEqual(await rowsOf(whole.root));
      expect(bytes(root, 4)).toEqual(bytes(whole.root, 4));
      expect(readFileSync(join(root, 'gain.json'), 'utf8')).toBe(readFileSync(join(whole.root, 'gain.json'), 'utf8'));
    },
  );

  it('writes a step down that is cut off in its evaluation, though no checkpoint was due', async () => {
    const cancel = new AbortController();
    const watch = (report: RunEvent): void =>
      void (report.kind === 'evaluation' && report.when === 'step-2' && cancel.abort());
    const { root } = await ran(pipelines({ checkpoints: '{ every: 100 }' }), { signal: cancel.signal, watch });
    expect(readdirSync(join(root, 'checkpoints'))).toEqual(['step-2']);
  });

  it('gives up evaluations of steps that are taken again', async () => {
    const file = pipelines();
    const { root } = await ran(file, { maxSteps: 4 });
    await ran(file, { folder: root, resume: 'step-2', maxSteps: 3 });
    expect(readdirSync(join(root, 'evaluations'))).toEqual(['step-2']);
  });
});

describe('evaluate.every', () => {
  const read = (given: Parameters<typeof pipelines>[0], ...set: string[]): Promise<string> =>
    refusal(readPipeline('learn', { pipelinesFile: pipelines(given), set }));

  it.each([
    [
      'no steps',
      { evaluate: 'evaluate: { pipeline: judge, every: 0 }' },
      'all.yaml:7:39  evaluate.every: expected at least 1; got 0',
    ],
    [
      'no pipeline',
      { evaluate: 'evaluate: { every: 2 }' },
      'all.yaml:7:13  evaluate.pipeline: expected a string; got nothing',
    ],
    [
      'another key',
      { evaluate: 'evaluate: { pipeline: judge, evry: 2 }' },
      'evaluate has no option "evry"; known: pipeline, every; nearest: every',
    ],
    [
      'an unknown name',
      { evaluate: 'evaluate: { pipeline: jugde, every: 2 }' },
      'all.yaml:7:13  evaluate: expected another pipeline of this file; got "jugde"; known: judge; nearest: judge',
    ],
    ['one that learns', { judge: '- advantage: { scale: batch }\n    - sft' }, 'sft needs the column "fitted"'],
    [
      'one that may change weights',
      { judge: '- fit\n    - sft: { rowsPerStep: 1 }' },
      'all.yaml:7:13  evaluate: expected a pipeline that changes no weight, for between steps it shares those that learn; got "judge", which may',
    ],
    [
      'checkpoints by what is not judged',
      { evaluate: 'evaluate: judge', checkpoints: '{ best: eval_reward }' },
      'all.yaml:6:24  checkpoints.best: expected evaluate: { pipeline, every }, of which such a metric comes; got "judge"',
    ],
  ])('refuses %s', async (_, given, message) => expect(await read(given)).toContain(message));

  it('refuses a run without steps', async () => {
    const file = folder().file('all.yaml', readFileSync(pipelines(), 'utf8').replace(/ +- update.*\n/, ''));
    expect(await refusal(readPipeline('learn', { pipelinesFile: file }))).toBe(
      'all.yaml:7:39  evaluate.every: expected a stage that learns, such as update; got none',
    );
  });

  it('may be told with the file alone, and reads back', async () => {
    const pipeline = await readPipeline(pipelines());
    expect([pipeline.name, pipeline.evaluation?.name, pipeline.settings.evaluate]).toEqual([
      'learn',
      'judge',
      { pipeline: 'judge', every: 2 },
    ]);
  });
});
