import { beforeAll, describe, expect, it, vi } from 'vitest';

import type { TrainRow } from '../../src/models/policy.js';
import type { QwenPolicy } from '../../src/models/qwen/policy.js';
import { objectiveGraph } from '../../src/models/qwen/train.js';
import { segR1 } from '../../src/objectives/policy-gradient.js';
import { hollowQwen, promptOf } from './hollow.js';
import { replay, type Outcome } from './replay.js';
import { findStandin } from './standin.js';
import { record, withPolicy, type Work } from './work.js';

vi.mock('../../src/tensor/session.js', async (original) => ({ ...(await original<object>()), openEngine: (await import('./recording.js')).openRecorder }));

const standin = findStandin();
const LORA = { lora: { rank: 16, alpha: 32, pattern: String.raw`model\.language_model\..*_proj` } };
const [GROUP, TOKENS, FRAME] = [8, 400, 768];

/** Rows of one prompt with a whole group of completions. */
function rows({ config }: QwenPolicy): TrainRow[] {
  const each = <T>(value: T): T[][] => Array.from({ length: GROUP }, () => Array.from({ length: TOKENS }, () => value));
  const perToken = { oldLogProbs: each(-1), refLogProbs: each(-1), weight: each(1e-3), share: each(1e-3) };
  return [{ prompt: promptOf(config, FRAME), completions: each(1), perToken, perSample: { advantages: Array.from({ length: GROUP }, (_, i) => i % 2), sampleShare: Array.from({ length: GROUP }, () => 1 / GROUP) } }];
}

const options = { precision: (process.env['P'] ?? 'bfloat16') as 'bfloat16', suppressed: [151_655] };
const folder = await hollowQwen({ dtype: options.precision === 'bfloat16' ? 'BF16' : 'F32' });
const all: Record<string, Work> = {
  rollout: withPolicy('a rollout of 8 × 8', { ...options, train: 'none', batch: 8 }, (policy) => policy.write(Array.from({ length: 8 }, () => promptOf(policy.config, FRAME)), { group: 8, temperature: 1, maxTokens: TOKENS, uniform: () => 0.5 }), folder),
  scores: withPolicy('scores', { ...options, train: 'none' }, (policy) => policy.scores(rows(policy).map((row) => ({ ...row, perToken: {}, perSample: {} })), 1), folder),
  lora: withPolicy('an update of an adapter', { ...options, train: LORA, recompute: 'layers' }, (policy) => policy.gradient(objectiveGraph(segR1(0.04)), rows(policy), 1), folder),
};
const works = (process.env['W'] ?? 'rollout,scores,lora').split(',').map((name) => all[name] as Work);

describe.skipIf('lacks' in standin)(`on CUDA the 3B fits${'lacks' in standin ? `, left out: ${standin.lacks}` : ''}`, () => {
  let outcomes: ReadonlyMap<string, Outcome>;
  beforeAll(async () => {
    if (!('lacks' in standin)) outcomes = await replay(standin, await record(works), { repeat: 2 });
  }, 600_000);
  it('prints', () => {
    for (const [name, { runs, opened, error, most, refused }] of outcomes) {
      console.log(name, error, 'most', ((most ?? 0) / 1e9).toFixed(2), refused);
      for (const e of [...opened, ...runs]) console.log(e.kernels, 'waits', e.waits, e.operations, e.rounded, (e.held / 1e9).toFixed(2), (e.peak / 1e9).toFixed(2));
    }
    expect(1).toBe(1);
  });
});
