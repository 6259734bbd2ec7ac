import { appendFileSync, mkdirSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { rowSchema } from '../../../src/io/arrow/columns.js';
import { openShards } from '../../../src/io/arrow/shard.js';
import { metricsText } from '../../../src/io/metrics-table.js';
import { sealFolder } from '../../../src/io/sealed-folder.js';
import { RunFolder } from '../../../src/pipelines/store/run-folder.js';
import { readPipeline, resolvedYaml, type Pipeline } from '../../../src/pipelines/config/read.js';
import { stages as table } from '../../../src/pipelines/stages/table.js';
import { differences, resumption, runToResume, type Resumed } from '../../../src/pipelines/run/resume.js';
import { configHash } from '../../../src/pipelines/store/checkpoint-state.js';
import type { Row } from '../../../src/records.js';
import { folder, refusal, STUBS } from '../files.js';

const TEXT = `seed: 7\nwindow: 4\noperators: [${JSON.stringify(STUBS)}]\nstages:\n  - load: { scenes: { count: 8 }, frame: 32 }\n  - guess\n  - teach\n  - write\n`;

let place: ReturnType<typeof folder>;
beforeEach(() => {
  place = folder();
  vi.spyOn(process, 'cwd').mockReturnValue(place.path);
});
afterEach(() => vi.restoreAllMocks());

const pipeline = (set: readonly string[] = [], text = TEXT): Promise<Pipeline> =>
  readPipeline(place.file('small.yaml', text), { set });

/** A run with checkpoints of a few bytes. */
async function run(name: string, steps: readonly number[], of?: Pipeline): Promise<string> {
  const root = join(place.path, 'runs', name);
  const folder = new RunFolder(root).begin(resolvedYaml(of ?? (await pipeline())));
  const last = Math.max(0, ...steps);
  const line = (step: number) =>
    metricsText({ step, time: '', metrics: {}, speed: {}, seconds: {}, blocked: {}, queue: {} });
  writeFileSync(folder.stepLines, Array.from({ length: last }, (_, i) => line(i + 1)).join(''));
  for (const step of steps) {
    const at = folder.checkpoint(step);
    mkdirSync(`${at}.making`);
    writeFileSync(join(`${at}.making`, 'weights'), 'abc');
    const rows = { rowsOut: step, marks: 0, faults: 0, tokens: 0, marked: {} };
    await sealFolder(`${at}.making`, at, {
      code: '0',
      config: configHash(folder),
      step,
      score: null,
      source: { cursor: step, pending: [] },
      rows,
      elapsed: 0,
      seconds: {},
      memory: {},
    });
  }
  return root;
}

const resumed = (of: Pipeline, root: string | undefined, which?: string): Promise<Resumed> =>
  resumption(of, runToResume(of, root), which);
const refused = async (root: string | undefined, which?: string, of?: Pipeline): Promise<string> => {
  const own = of ?? (await pipeline());
  return refusal((async () => resumed(own, root, which))());
};

describe('resumption', () => {
  it('takes the newest checkpoint of the newest run, and removes what was half written', async () => {
    await run('old', [2]);
    const root = await run('new', [2, 10]);
    await run('other', [4], await readPipeline(place.file('other.yaml', TEXT)));
    utimesSync(join(place.path, 'runs/old/config.yaml'), 1, 1);
    utimesSync(join(root, 'config.yaml'), 2e9, 2e9);
    for (const name of [
      'step-12.making',
      'step-12.making.partial',
      'step-12.making.partial-2',
      'step-1.partial',
      'step-2.mine.partial',
      'step-2.making-of',
    ])
      mkdirSync(join(root, 'checkpoints', name));
    const { folder: found, from } = await resumed(await pipeline(), undefined);
    expect([found.root, from?.state.step]).toEqual([root, 10]);
    expect(readdirSync(found.checkpoints).toSorted()).toEqual([
      'step-10',
      'step-2',
      'step-2.making-of',
      'step-2.mine.partial',
    ]);
  });

  it('takes the one that is named, and gives up what came later', async () => {
    const root = await run('a', [2, 4, 6]);
    expect((await resumed(await pipeline(), root, 'step-4')).from?.state.step).toBe(4);
    expect(readdirSync(join(root, 'checkpoints')).toSorted()).toEqual(['step-2', 'step-4']);
  });

  it('begins again where there is none yet, without the rows', async () => {
    const root = await run('a', []);
    for (const name of ['rows', 'metrics']) writeFileSync(join(root, name, 'x'), '');
    const { from, folder: found } = await resumed(await pipeline(), root);
    expect([from, readdirSync(found.rows), readdirSync(found.metrics)]).toEqual([undefined, [], []]);
  });

  it('refuses a checkpoint that was cut short, and names an older one that is whole', async () => {
    const root = await run('a', [2, 4, 6]);
    truncateSync(join(root, 'checkpoints/step-6/weights'), 1);
    truncateSync(join(root, 'checkpoints/step-4/state.json'), 1);
    expect(await refused(root)).toBe(
      'runs/a/checkpoints/step-6/weights  expected 3 bytes, as state.json has it; got 1; way out: --resume step-2, which is whole',
    );
    expect(await refused(root, 'step-2', await pipeline(['load.frame=64']))).toContain('load.frame: expected 32');
    expect((await resumed(await pipeline(), root, 'step-2')).from?.state.step).toBe(2);
  });

  it('refuses a checkpoint that was cut short where no other is whole', async () => {
    const root = await run('a', [6]);
    truncateSync(join(root, 'checkpoints/step-6/weights'), 1);
    expect(await refused(root)).toContain('; way out: begin another run; no older checkpoint is whole');
  });

  it('refuses a checkpoint of which the metrics or the rows are damaged, and names an older one that works', async () => {
    const root = await run('a', [2, 4]);
    const { stepLines, rows } = new RunFolder(root);
    const [first, ...others] = readFileSync(stepLines, 'utf8').split('\n');
    writeFileSync(stepLines, [first, others[0], '{', others[2], ''].join('\n'));
    expect(await refused(root)).toBe(
      `runs/a/metrics/metrics.jsonl  metrics: expected a line for each of 4 steps; got 3; way out: --resume step-2, which is whole`,
    );
    writeFileSync(stepLines, [first, ...others].join('\n'));
    const shards = await openShards(rows, rowSchema([], {}), { rowsPerBatch: 1 });
    const row = (id: string): Row => ({
      id,
      image: { path: 'a.png' },
      task: 'segment',
      frame: { width: 4, height: 3 },
      original: { width: 8, height: 6 },
    });
    for (const id of ['a', 'b', 'c', 'd']) await shards.append(row(id));
    await shards.flush();
    const partial = join(rows, 'shard-00000.arrow.partial');
    truncateSync(partial, readFileSync(partial).length - 50);
    expect(await refused(root)).toBe(
      `runs/a/rows  rows to keep: expected 4 more behind the whole shards; got 3; way out: --resume step-2, which is whole`,
    );
    expect((await resumed(await pipeline(), root, 'step-2')).from?.state.step).toBe(2);
    await shards.close().catch(() => {});
  });

  it('names the keys that differ, with both values', async () => {
    const root = await run('a', [2]);
    expect(
      await refused(
        root,
        undefined,
        await pipeline(['seed=8', 'load.scenes.count=9', 'write.rowsPerBatch=5', 'tolerate=1']),
      ),
    ).toBe(
      [
        'runs/a/config.yaml  seed: expected 7, as the run began; got 8',
        'runs/a/config.yaml  load.scenes.count: expected 8, as the run began; got 9',
        'way out: begin another run, without --resume',
      ].join('\n'),
    );
  });

  it('refuses a configuration that somebody changed', async () => {
    const root = await run('a', [2]);
    appendFileSync(join(root, 'config.yaml'), '# mine\n');
    expect(await refused(root)).toMatch(
      /^runs\/a\/config\.yaml {2}SHA-256: expected \w+, as .*step-2 has it; got \w+; way out/,
    );
  });

  it.each([
    [
      'no run at all',
      undefined,
      undefined,
      'runs  resume: expected a run of "small"; got none; way out: --run names its folder',
    ],
    ['a folder of something else', '', undefined, 'resume: expected the folder of a run; got one without config.yaml'],
    [
      'a checkpoint that is not there',
      'runs/a',
      'step-3',
      'runs/a/checkpoints  resume: expected one of step-2; got "step-3"',
    ],
  ])('refuses %s', async (_, root, which, message) => {
    if (root === 'runs/a') await run('a', [2]);
    expect(await refused(root === undefined ? undefined : join(place.path, root), which)).toContain(message);
  });

  it("refuses another pipeline's run", async () => {
    const root = await run('a', [2]);
    const other = await readPipeline(place.file('other.yaml', TEXT));
    expect(await refused(root, undefined, other)).toBe('runs/a  resume: expected a run of "other"; got one of "small"');
  });

  it('refuses a source that cannot go on', async () => {
    const stub = await pipeline([], `operators: [${JSON.stringify(STUBS)}]\nstages: [rows, guess, teach]\n`);
    expect(await refused(await run('a', [2], stub), undefined, stub)).toBe(
      'resume: expected a source that can go on, such as load; got rows; way out: begin another run',
    );
  });

  it('begins a pipeline that does not learn again, whatever its source, and keeps answers that were paid for', async () => {
    const stub = await pipeline([], `operators: [${JSON.stringify(STUBS)}]\nstages: [rows, guess]\n`);
    const root = await run('a', [], stub);
    for (const name of ['rows/x', 'answers.jsonl']) writeFileSync(join(root, name), 'x');
    const { from, folder: found } = await resumed(stub, root);
    expect([from, readdirSync(found.rows), readFileSync(join(root, 'answers.jsonl'), 'utf8')]).toEqual([
      undefined,
      [],
      'x',
    ]);
    expect(await refused(root, 'step-2', stub)).toBe(
      'runs/a/checkpoints  resume: expected one of no checkpoints; got "step-2"',
    );
  });
});

const config = {
  seed: 7,
  window: 4,
  policy: { checkpoint: '/models/tiny', workers: 1, threads: 2 },
  checkpoints: { every: 50, keep: 3 },
  stages: [
    { load: { frame: [112, 112], shuffle: true } },
    { rollout: { group: 2, inflight: 2 } },
    { think: { endpoint: { model: 'm', retries: 5, inflight: 4 } } },
    { easy: { over: 1 } },
    { easy: { over: 2 } },
    { write: { rowsPerBatch: 100 } },
  ],
};

describe('differences', () => {
  it('finds none where nothing differs', () => expect(differences(config, structuredClone(config))).toEqual([]));

  it('allows what changes no row and no weight', () => {
    const stages = [
      ...config.stages.slice(0, 1),
      { rollout: { group: 2, inflight: 4 } },
      { think: { endpoint: { model: 'm', key: 'KEY', retries: 9, perMinute: 30, inflight: 1, timeoutSeconds: 5 } } },
      ...config.stages.slice(3, 5),
      { write: { rowsPerBatch: 10 } },
    ];
    const now = {
      ...config,
      policy: { checkpoint: '/models/tiny', workers: 2, threads: 2 },
      checkpoints: { every: 5, keep: 1, best: 'loss' },
      tolerate: 3,
      imageCacheMegabytes: 0,
      run: 'mine',
      stages,
    };
    const indifferent = (name: string): readonly string[] => table.get(name)?.indifferent ?? [];
    expect(differences(config, now, indifferent)).toEqual([]);
    expect(differences(config, now).map(({ key }) => key)).toEqual([
      'rollout.inflight',
      'think.endpoint.retries',
      'think.endpoint.inflight',
      'write.rowsPerBatch',
      'think.endpoint.key',
      'think.endpoint.perMinute',
      'think.endpoint.timeoutSeconds',
    ]);
  });

  it.each([
    [
      'cores of a run, which decide in what order sums are taken',
      { policy: { ...config.policy, threads: 1 } },
      { key: 'policy.threads', before: 2, now: 1 },
    ],
    ['a setting', { seed: 8 }, { key: 'seed', before: 7, now: 8 }],
    ['a setting that is gone', { window: undefined }, { key: 'window', before: 4, now: undefined }],
    [
      'a nested setting',
      { policy: { ...config.policy, checkpoint: '/other' } },
      { key: 'policy.checkpoint', before: '/models/tiny', now: '/other' },
    ],
    [
      'a list',
      { stages: [{ load: { frame: [64, 112], shuffle: true } }, ...config.stages.slice(1)] },
      { key: 'load.frame', before: [112, 112], now: [64, 112] },
    ],
    [
      'whom to ask',
      {
        stages: [
          ...config.stages.slice(0, 2),
          { think: { endpoint: { model: 'n', retries: 5, inflight: 4 } } },
          ...config.stages.slice(3),
        ],
      },
      { key: 'think.endpoint.model', before: 'm', now: 'n' },
    ],
    [
      'the second stage of a name',
      { stages: [...config.stages.slice(0, 4), { easy: { over: 3 } }, ...config.stages.slice(5)] },
      { key: 'easy 2.over', before: 2, now: 3 },
    ],
    [
      'the order of stages',
      { stages: [...config.stages].toReversed() },
      {
        key: 'stages',
        before: ['load', 'rollout', 'think', 'easy', 'easy', 'write'],
        now: ['write', 'easy', 'easy', 'think', 'rollout', 'load'],
      },
    ],
  ])('names %s', (_, change, difference) =>
    expect(differences(config, { ...config, ...change })).toContainEqual(difference),
  );
});
