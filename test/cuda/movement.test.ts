import { beforeAll, describe, expect, it, vi } from 'vitest';

import { readConfig } from '../../src/models/qwen2_5_vl/architecture.js';
import type { OpenPolicyOptions } from '../../src/models/policies.js';
import type { VlmPolicy } from '../../src/models/vlm/policy.js';
import { grpo } from '../../src/objectives/policy-gradient.js';
import { asking, lessons, prompts, writing } from '../models/vlm/lessons.js';
import { replay, type Case, type Copies, type Events, type Outcome } from './replay.js';
import { findStandin } from './standin.js';
import { record, tiny, withPolicy, type Work } from './work.js';

vi.mock('../../src/tensor/engines.js', async (original) => ({
  ...(await original<object>()),
  openEngine: (await import('./recording.js')).openRecorder,
}));

const standin = findStandin();
const { layers } = (await readConfig(tiny)).text;
const one = (policy: VlmPolicy) => prompts(policy).slice(0, 1);

const [SHORT, LONG] = [4, 12];
const rollout = (maxTokens: number): Work =>
  withPolicy(`a rollout of ${maxTokens} tokens`, { train: 'none' }, (policy) =>
    policy.generate(asking(one(policy), { ...writing, group: 2, maxTokens })),
  );
const TRAIN: Readonly<Record<string, OpenPolicyOptions['train']>> = {
  'all weights': 'full',
  'an adapter': { lora: { rank: 4, alpha: 8, pattern: '.*_proj' } },
};
const updates = Object.entries(TRAIN).map(([of, train]) =>
  withPolicy(of, train === undefined ? {} : { train }, async (policy) => {
    const { gradient } = await policy.gradient({
      loss: { objective: grpo(0.04) },
      rows: lessons(policy, 2, one(policy)),
      temperature: 1,
    });
    await policy.step(gradient, { learningRate: 1e-3, maxNorm: 1 });
  }),
);

const number = (copies: Copies): number => [...copies.values()].reduce((sum, count) => sum + count, 0);
const bytes = (copies: Copies): number => [...copies].reduce((sum, [size, count]) => sum + size * count, 0);
const WIDTH = { float32: 4, bfloat16: 2, float16: 2, int64: 8, bool: 1 } as const;

/** Bytes of what a case feeds to its first run, and of what learns. */
function handed({ calls }: Case): { readonly fed: number; readonly learning: number } {
  const program = calls.flatMap((call) => (call.kind === 'open' ? [call.program] : []))[0];
  const feeds = calls.flatMap((call) => (call.kind === 'run' ? [call.feeds] : []))[0] ?? {};
  const learning = calls.flatMap((call) => (call.kind === 'parameters' ? [4 * call.layout.length] : []))[0] ?? 0;
  return {
    fed: (program?.inputs ?? []).reduce((sum, { name, dtype }) => sum + WIDTH[dtype] * Number(feeds[name] ?? 0), 0),
    learning,
  };
}

describe.skipIf('lacks' in standin)(
  `on CUDA little is copied${'lacks' in standin ? `, left out: ${standin.lacks}` : ''}`,
  () => {
    let cases: readonly Case[] = [];
    let outcomes: ReadonlyMap<string, Outcome>;
    beforeAll(async () => {
      cases = await record([rollout(SHORT), rollout(LONG), ...updates]);
      if (!('lacks' in standin)) outcomes = await replay(standin, cases, { repeat: 2 });
    }, 300_000);

    const runsOf = (name: string): readonly Events[] => {
      const { error, runs } = outcomes.get(name) as Outcome;
      expect(error).toBeUndefined();
      return runs;
    };

    it('a token brings one byte back, the condition of the loop, and takes a few tables of pointers there', () => {
      const [short, long] = [SHORT, LONG].map((tokens) => runsOf(`a rollout of ${tokens} tokens`)[1]) as [
        Events,
        Events,
      ];
      const a = (of: (events: Events) => number): number => (of(long) - of(short)) / (LONG - SHORT);
      expect(a(({ toHost }) => toHost.get(1) ?? 0)).toBe(1);
      expect(a(({ toHost }) => number(toHost))).toBe(1);
      expect(a(({ waits }) => waits)).toBe(1);
      // Three times a layer two values of unequal size are joined, which takes four tables; and the number of the turn.
      expect(a(({ toDevice }) => number(toDevice))).toBeLessThanOrEqual(12 * layers + 1);
      expect(a(({ toDevice }) => bytes(toDevice))).toBeLessThanOrEqual(layers * (9 * 16 + 3 * 8 * 64));
    });

    it.each(Object.keys(TRAIN))(
      'an update of %s takes there what is fed and brings scalars back: weights, gradients and moments stay',
      (name) => {
        const { fed, learning } = handed(cases.find((one) => one.name === name) as Case);
        expect(learning).toBeGreaterThan(2 ** 15);
        const [first, again, ...rest] = runsOf(name);
        expect(rest.map(({ program }) => program)).toEqual(['norm', 'step']);
        for (const { toDevice, toHost } of [first, again] as Events[]) {
          expect(bytes(toDevice)).toBeGreaterThanOrEqual(fed);
          // Beside them tables of pointers and sizes where values are cut and joined, some 120 bytes each.
          expect(bytes(toDevice)).toBeLessThanOrEqual(fed + 2 ** 14);
          expect(bytes(toHost)).toBeLessThanOrEqual(2 ** 8);
        }
        for (const { toDevice, toHost } of rest) expect(bytes(toDevice) + bytes(toHost)).toBeLessThanOrEqual(2 ** 11);
      },
    );

    it('no run copies more than the one before it', () => {
      for (const { name } of cases) {
        const [before, after] = runsOf(name) as [Events, Events];
        for (const way of ['toDevice', 'toHost', 'within'] as const)
          expect([name, bytes(after[way])]).toEqual([name, bytes(before[way])]);
      }
    });
  },
);
