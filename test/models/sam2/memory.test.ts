import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readSam2Config } from '../../../src/models/sam2/config.js';
import { inspectSam2 } from '../../../src/models/sam2/inspect.js';
import { decodeMemory, embeddingBytes, embedMemory, parameters } from '../../../src/models/sam2/memory.js';
import { openNetwork } from '../../../src/models/sam2/network.js';
import { openEngine } from '../../../src/tensor/engines.js';
import { openWeights } from '../../../src/models/sam2/weights.js';
import { fixturesFolder } from '../../golden/golden.js';

const folder = join(fixturesFolder(), 'segmenter', 'tiny-128');
const config = await readSam2Config(folder);

describe('embeddingBytes', () => {
  it('is what the network says, and 16 MiB at the size of the published models', async () => {
    const network = await openNetwork(
      openEngine({ workers: 1, threads: 1 }),
      await openWeights(folder, config),
      config,
    );
    expect(embeddingBytes(config)).toBe(network.embeddingBytes);
    await network.release();
    expect(embeddingBytes({ ...config, size: 1024, width: 256 })).toBe(16 * 2 ** 20);
  });
});

describe('the memory of runs', () => {
  it('holds the weights as the runtime lays them out, and of a run what its objects take', () => {
    const [one, eight] = [decodeMemory(config, 1), decodeMemory(config, 8)];
    expect(eight.parts['objects']).toBe(8 * one.parts['objects']);
    expect([embedMemory(config), one].map(({ parts }) => parts['weights'])).toEqual([
      4 * parameters(config),
      4 * parameters(config),
    ]);
  });

  it('takes four times the cells at twice the side', () => {
    expect(embedMemory({ ...config, size: 256 }).parts['largest block']).toBe(
      4 * embedMemory(config).parts['largest block'],
    );
  });
});

describe('inspectSam2', () => {
  it('says what lies in the files', async () => {
    const seen = await inspectSam2(folder, { prompts: 20 });
    expect(seen).toMatchObject({
      kind: 'segmenter',
      architecture: 'sam2',
      size: 128,
      parameters: parameters(config),
      stored: { files: 1, dtypes: ['F32'], bytes: 4 * parameters(config) },
    });
    expect(Object.keys(seen.memory)).toEqual(['embed', 'decode 8']);
  });
});
