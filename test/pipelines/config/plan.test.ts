import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { planOf } from '../../../src/pipelines/config/plan.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import { folder } from '../files.js';

const ROOT = join(import.meta.dirname, '../../..');

describe('planOf', () => {
  const train = (load: string, more = ''): Promise<Awaited<ReturnType<typeof planOf>>> =>
    readPipeline(
      folder().file(
        'p.yaml',
        `policy: { checkpoint: ${ROOT}/data/models/tiny }\nsegmenter: { kind: grabcut }\nstages: [{ load: ${load} }, { rollout: { group: 2, maxTokens: 44 } }, parse, mask, reward, advantage, { update: { groupsPerStep: 4 ${more} } }]\n`,
      ),
    ).then((pipeline) => planOf(pipeline));

  it('counts images, masks, rows and steps, a last one of fewer rows too', async () => {
    const images = `images: ${ROOT}/data/sample/images, masks: ${ROOT}/data/sample/masks, frame: 112`;
    const plan = await train(`{ ${images}, limit: 3, epochs: 3 }`);
    expect(plan).toMatchObject({ counts: { images: 3, masks: 3 }, rows: 9, steps: 3 });
    expect(await train('{ scenes: { count: 8 }, frame: 112 }', ', updatesPerBatch: 2')).toMatchObject({
      counts: { scenes: 8 },
      rows: 8,
      steps: 4,
    });
  });

  it('counts memory and work of the longest completions, of a frame as the policy is shown it', async () => {
    const of = (frame: number, more = '') => train(`{ scenes: { count: 8 }, frame: ${frame} }`, more);
    const [small, shown] = [await of(56), await of(112)];
    expect(shown.policy?.operations).toBeGreaterThan(small.policy?.operations ?? Infinity);
    // The small policy is shown 112 px at most.
    expect((await of(448)).policy).toEqual(shown.policy);
    // A pass over the weights writes a token of 4 prompts.
    expect(shown.policy?.writing).toMatchObject({ passes: 44 / 4 });
    // The runtime's 160 MB, and weights, gradients and moments of a few.
    expect(shown.bytes).toBeGreaterThan(160e6);
    expect(shown.bytes).toBeLessThan(1e9);
  });

  it('goes no further than the steps that are asked for', async () => {
    const pipeline = await readPipeline('train', { pipelinesFile: join(ROOT, 'pipelines.yaml') });
    const plan = await planOf(pipeline, 5);
    expect(plan).toMatchObject({ steps: 5, rows: 40, evaluation: { counts: { scenes: 240 } } });
  });
});
