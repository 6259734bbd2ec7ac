import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { rm } from 'node:fs/promises';

import type { TrainRow } from '../../src/models/policy.js';
import type { VlmPolicy } from '../../src/models/vlm/policy.js';
import { segR1 } from '../../src/objectives/policy-gradient.js';
import { asking } from '../models/vlm/lessons.js';
import { hollowQwen, promptOf } from './hollow.js';
import { replay, type Outcome } from './replay.js';
import { findStandin } from './standin.js';
import { record, withPolicy } from './work.js';

vi.mock('../../src/tensor/engines.js', async (original) => ({
  ...(await original<object>()),
  openEngine: (await import('./recording.js')).openRecorder,
}));

const standin = findStandin();
const [FRAME, PROMPTS, GROUP, TOKENS] = [768, 8, 8, 400];

/** One prompt with a whole group of whole completions. */
function rows({ config }: VlmPolicy): TrainRow[] {
  const each = <T>(value: T): T[][] => Array.from({ length: GROUP }, () => Array.from({ length: TOKENS }, () => value));
  const perToken = { oldLogProbs: each(-1), refLogProbs: each(-1), weight: each(1e-3), share: each(1e-3) };
  const perSample = {
    advantages: Array.from({ length: GROUP }, (_, i) => i % 2),
    sampleShare: Array.from({ length: GROUP }, () => 1 / GROUP),
  };
  return [{ prompt: promptOf(config, FRAME), completions: each(1), perToken, perSample }];
}

describe.skipIf('lacks' in standin)(
  `on CUDA a policy of three billion weights in bfloat16${'lacks' in standin ? `, left out: ${standin.lacks}` : ''}`,
  () => {
    let folder = '';
    let outcomes: ReadonlyMap<string, Outcome>;
    beforeAll(async () => {
      if ('lacks' in standin) return;
      folder = await hollowQwen({ dtype: 'BF16' });
      const options = { precision: 'bfloat16', suppressed: [151_655] } as const;
      const lora = { lora: { rank: 16, alpha: 32, pattern: String.raw`model\.language_model\..*_proj` } };
      const works = [
        withPolicy(
          'writes',
          { ...options, train: 'none', batch: PROMPTS },
          (policy) =>
            policy.generate(
              asking(
                Array.from({ length: PROMPTS }, () => promptOf(policy.config, FRAME)),
                { group: GROUP, temperature: 1, maxTokens: TOKENS },
              ),
            ),
          folder,
        ),
        withPolicy(
          'learns',
          { ...options, train: lora, recompute: 'layers' },
          async (policy) =>
            policy.step(
              (await policy.gradient({ loss: { objective: segR1(0.04) }, rows: rows(policy), temperature: 1 }))
                .gradient,
              {
                learningRate: 1e-6,
                maxNorm: 1,
              },
            ),
          folder,
        ),
      ];
      outcomes = await replay(standin, await record(works));
    }, 900_000);
    afterAll(() => rm(folder, { recursive: true, force: true }));

    it.each([
      ['writes', `8 × 8 completions of ${TOKENS} tokens about frames of ${FRAME} px`, 14],
      [
        'learns',
        `by an adapter from 8 completions of ${TOKENS} tokens about a frame of ${FRAME} px, layers computed again,`,
        14,
      ],
    ])('%s %s in %d GB', (name, _, gigabytes) => {
      const { error, most, runs } = outcomes.get(name) as Outcome;
      expect(error).toBeUndefined();
      // Taken from the device, in pieces as they are needed; and of them in use at once.
      expect(Math.max(...runs.map(({ peak }) => peak))).toBeLessThan(gigabytes * 1e9);
      // The weights are there, and more.
      expect(most).toBeGreaterThan(7.5e9);
    });
  },
);
