import { rm } from 'node:fs/promises';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { readPipeline } from '../../../src/pipelines/config/read.js';
import { roomNotice } from '../../../src/pipelines/config/room.js';
import { pipelineContext } from '../../../src/pipelines/stage.js';
import { folder } from '../files.js';
import { hollowQwen } from '../../cuda/hollow.js';

let published = '';
beforeAll(async () => void (published = await hollowQwen({ dtype: 'BF16' })));
afterAll(() => rm(published, { recursive: true }));

/** What is said of a run on a GPU that has so many bytes; the file is read as one for the CPU, for here is no GPU. */
async function told(
  room: number | undefined,
  { policy = '', last = 'parse, mask, reward, advantage, update: { objective: grpo }', device = 'cuda:0' } = {},
): Promise<string | undefined> {
  const file = folder().file(
    'run.yaml',
    `
policy: { checkpoint: ${JSON.stringify(published)}, precision: bfloat16${policy} }
segmenter: { kind: grabcut }
stages: [load: { scenes: { count: 8 } }, rollout: { group: 8, maxTokens: 400 }, ${last}]
`,
  );
  const { settings, stages } = await readPipeline(file);
  return roomNotice(
    pipelineContext({ ...settings, ...(settings.policy && { policy: { ...settings.policy, device } }) }, stages),
    () => room,
  );
}

const lora = String.raw`, train: { lora: { pattern: 'model\.language_model\..*_proj' } }`;

// The sums are those of `segr1 models inspect --device cuda`, which a test holds to a stand-in's.
describe('roomNotice', () => {
  it('says nothing where one prompt fits, of a CPU, and where nobody knows', async () => {
    expect(await told(14e9, { policy: `${lora}, gradientCheckpointing: true` })).toBeUndefined();
    expect(await told(1e9, { device: 'cpu' })).toBeUndefined();
    expect(await told(undefined)).toBeUndefined();
  });

  it('names single changes that would fit, with what each takes', async () => {
    expect(await told(24e9, { policy: lora })).toBe(
      'memory: counted 43.1 GB for an update of one prompt, frame 768, group 8, maxTokens 400; got 24.0 GB; way out: gradientCheckpointing: true (12.4 GB)',
    );
    expect(await told(11.5e9, { policy: `${lora}, gradientCheckpointing: true` })).toMatch(
      /^memory: counted 12\.4 GB .*; got 11\.5 GB; way out: frame: 392 \(11\.5 GB\), group: 4 \(10\.9 GB\), maxTokens: 200 \(11\.2 GB\)$/,
    );
    expect(await told(70e9)).toMatch(/; way out: an adapter of rank 16 in place of all weights \(43\.1 GB\)$/);
    const checkpointed = { policy: ', gradientCheckpointing: true' };
    expect(await told(72e9, checkpointed)).toMatch(
      /^memory: counted 77\.5 GB .*; got 72\.0 GB; way out: optimizer: host \(32\.4 GB\), an adapter of rank 16 in place of all weights \(12\.4 GB\)$/,
    );
    expect(await told(30e9, { policy: ', gradientCheckpointing: true, optimizer: host' })).toMatch(
      /^memory: counted 32\.4 GB .*; way out: an adapter of rank 16/,
    );
    expect(await told(8e9, { last: 'parse, mask, reward, tally' })).toMatch(
      /^memory: counted 8\.3 GB for a rollout of one prompt, .*; way out: frame: 392 \(7\.\d GB\)$/,
    );
  });

  it('names several together where none would do alone, and another checkpoint where all of them would not', async () => {
    expect(await told(12e9, { policy: lora })).toMatch(
      /; got 12\.0 GB; way out: gradientCheckpointing: true with frame: 392 \(11\.\d GB\)$/,
    );
    expect(await told(5e9)).toMatch(/; got 5\.0 GB; way out: a smaller checkpoint$/);
  });
});
