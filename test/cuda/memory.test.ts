import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { rm } from 'node:fs/promises';

import { readConfig } from '../../src/models/qwen2_5_vl/architecture.js';
import type { QwenConfig } from '../../src/models/qwen2_5_vl/config.js';
import { adapterOf } from '../../src/models/vlm/lora.js';
import { deviceMemoryOf } from '../../src/models/qwen2_5_vl/memory-cuda.js';
import { segR1 } from '../../src/objectives/policy-gradient.js';
import { hollowQwen, promptOf, wholeGroups } from './hollow.js';
import { asking } from '../models/vlm/lessons.js';
import { replay, type Outcome } from './replay.js';
import { findStandin } from './standin.js';
import { record, withPolicy } from './work.js';

vi.mock('../../src/tensor/engines.js', async (original) => ({
  ...(await original<object>()),
  openEngine: (await import('./recording.js')).openRecorder,
}));

const standin = findStandin();
const [FRAME, PROMPTS, GROUP, TOKENS] = [768, 8, 8, 400];
const LORA = { rank: 16, alpha: 32, pattern: String.raw`model\.language_model\..*_proj` };

describe.skipIf('lacks' in standin)(
  `on CUDA a policy of three billion weights in bfloat16${'lacks' in standin ? `, left out: ${standin.lacks}` : ''}`,
  () => {
    let folder = '';
    let config: QwenConfig;
    let outcomes: ReadonlyMap<string, Outcome>;
    beforeAll(async () => {
      if ('lacks' in standin) return;
      folder = await hollowQwen({ dtype: 'BF16' });
      config = await readConfig(folder);
      const options = { precision: 'bfloat16', suppressed: [151_655] } as const;
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
          { ...options, train: { lora: LORA }, gradientCheckpointing: true },
          async (policy) =>
            policy.step(
              (
                await policy.gradient({
                  loss: { objective: segR1(0.04) },
                  rows: wholeGroups(policy.config, { frame: FRAME, group: GROUP, maxTokens: TOKENS, prompts: 1 }),
                  temperature: 1,
                })
              ).gradient,
              { learningRate: 1e-6, maxNorm: 1 },
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
      // What is known beforehand, as `segr1 models inspect` tells it.
      const use = { frame: FRAME, group: GROUP, maxTokens: TOKENS, precision: 'bfloat16' } as const;
      const { total } =
        name === 'writes'
          ? deviceMemoryOf(config, { kind: 'rollout' }, { ...use, prompts: PROMPTS })
          : deviceMemoryOf(
              config,
              { kind: 'lora', adapter: adapterOf(config, LORA) },
              { ...use, prompts: 1, gradientCheckpointing: true },
            );
      expect(total / (most as number)).toBeGreaterThan(0.9);
      expect(total / (most as number)).toBeLessThan(1.1);
    });
  },
);
