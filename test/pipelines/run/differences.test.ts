import { describe, expect, it } from 'vitest';

import { differences } from '../../../src/pipelines/run/differences.js';
import { stages as table } from '../../../src/pipelines/stages/table.js';

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
      { think: { endpoint: { model: 'm', key: 'KEY', retries: 9, perMinute: 30, inflight: 1 } } },
      ...config.stages.slice(3, 5),
      { write: { rowsPerBatch: 10 } },
    ];
    const now = {
      ...config,
      policy: { checkpoint: '/models/tiny', workers: 2, threads: 1 },
      checkpoints: { every: 5, keep: 1, best: 'loss' },
      tolerate: 3,
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
    ]);
  });

  it.each([
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
