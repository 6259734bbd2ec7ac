import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { rm } from 'node:fs/promises';

import { readConfig } from '../../src/models/qwen2_5_vl/architecture.js';
import type { QwenConfig } from '../../src/models/qwen2_5_vl/config.js';
import { adapterOf } from '../../src/models/vlm/lora.js';
import { deviceMemoryOf } from '../../src/models/qwen2_5_vl/memory-cuda.js';
import { parameters, type Job } from '../../src/models/vlm/memory.js';
import type { VlmPolicy } from '../../src/models/vlm/policy.js';
import { segR1 } from '../../src/objectives/policy-gradient.js';
import { hollowQwen, promptOf, wholeGroups } from './hollow.js';
import { asking } from '../models/vlm/lessons.js';
import { layoutOf } from '../../src/tensor/layout.js';
import { replay, type Outcome } from './replay.js';
import { findStandin } from './standin.js';
import { record, withPolicy } from './work.js';
import type * as adam from '../../src/tensor/adamw.js';
import type * as stepper from '../../src/tensor/adamw-threads.js';
import type * as weightFiles from '../../src/models/vlm/weight-files.js';

vi.mock('../../src/tensor/engines.js', async (original) => ({
  ...(await original<object>()),
  openEngine: (await import('./recording.js')).openRecorder,
}));

// Weights that learn and their moments take 45 GB of the host; here are none, for what a device does depends on sizes.
const none = new Float32Array(new SharedArrayBuffer(0));
vi.mock('../../src/models/vlm/weight-files.js', async (original) => {
  const readWeights: typeof weightFiles.readWeights = async ({ shapes }) => ({
    layout: layoutOf(shapes.map(({ name, sizes }) => ({ name, sizes: Object.values(sizes) }))),
    values: none,
  });
  return { ...(await original<typeof weightFiles>()), readWeights };
});
vi.mock('../../src/tensor/adamw.js', async (original) => ({
  ...(await original<typeof adam>()),
  adamState: (): adam.AdamState => ({ first: none, second: none, step: 0 }),
}));
vi.mock('../../src/tensor/adamw-threads.js', async (original) => ({
  ...(await original<typeof stepper>()),
  openStepper: (): stepper.Stepper => ({ step: async () => true, update: async () => true, release: async () => {} }),
}));

const standin = findStandin();
const [FRAME, PROMPTS, GROUP, TOKENS] = [768, 8, 8, 400];
const LORA = { rank: 16, alpha: 32, pattern: String.raw`model\.language_model\..*_proj` };

async function learning(policy: VlmPolicy): Promise<unknown> {
  const rows = wholeGroups(policy.config, { frame: FRAME, group: GROUP, maxTokens: TOKENS, prompts: 1 });
  const { gradient } = await policy.gradient({ loss: { objective: segR1(0.04) }, rows, temperature: 1 });
  return policy.step(gradient, { learningRate: 1e-6, maxNorm: 1 });
}

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
        withPolicy('learns', { ...options, train: { lora: LORA }, gradientCheckpointing: true }, learning, folder),
        withPolicy(
          'learns by all',
          { ...options, train: 'full', gradientCheckpointing: true, optimizer: 'host' },
          learning,
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
      [
        'learns by all',
        `its weights from 8 completions of ${TOKENS} tokens about a frame of ${FRAME} px, AdamW on the host,`,
        34,
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
      const jobs: Readonly<Record<string, Job>> = {
        writes: { kind: 'rollout' },
        learns: { kind: 'lora', adapter: adapterOf(config, LORA) },
        'learns by all': { kind: 'full' },
      };
      const prompts = name === 'writes' ? PROMPTS : 1;
      const { total } = deviceMemoryOf(config, jobs[name], {
        ...use,
        prompts,
        gradientCheckpointing: true,
        optimizer: name === 'learns by all' ? 'host' : 'device',
      });
      expect(total / (most as number)).toBeGreaterThan(0.9);
      expect(total / (most as number)).toBeLessThan(1.1);
    });

    it('reads the sum of all gradients and sends all weights back once a step, in pieces', () => {
      const { runs, sent } = outcomes.get('learns by all') as Outcome;
      const weights = parameters(config.architecture.weightShapes(config));
      const bytes = (copies: ReadonlyMap<number, number>): number =>
        [...copies].reduce((sum, [size, times]) => sum + size * times, 0);
      const read = runs.filter(({ program }) => program === 'readInto');
      expect(read.reduce((sum, { toHost }) => sum + bytes(toHost), 0)).toBe(4 * weights);
      // At the start, and by the step.
      expect(sent.map(({ toDevice }) => bytes(toDevice))).toEqual([4 * weights, 4 * weights]);
      for (const { toDevice, toHost } of [...runs, ...sent])
        expect(Math.max(...toDevice.keys(), ...toHost.keys())).toBeLessThanOrEqual(2 ** 26);
    });
  },
);
