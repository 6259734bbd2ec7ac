import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readConfig } from '../../../src/models/qwen2_5_vl/architecture.js';
import { inspectPolicy } from '../../../src/models/policies.js';
import { counted, memories } from '../../../src/models/vlm/inspect.js';
import { adapterOf, adapterShapes } from '../../../src/models/vlm/lora.js';
import { deviceMemoryOf } from '../../../src/models/qwen2_5_vl/memory-cuda.js';
import { memoryOf, parameters, type Job, type Use } from '../../../src/models/vlm/memory.js';
import { weightShapes } from '../../../src/models/qwen2_5_vl/weights.js';
import { fixturesFolder } from '../../golden/golden.js';
import { tied, tiny } from './opened.js';

const published = (size: string) =>
  readConfig(fileURLToPath(new URL(`../../fixtures/qwen2.5-vl-${size}`, import.meta.url)));
const config = await published('3b');
const adapter = (rank: number) =>
  adapterOf(config, { rank, alpha: 1, pattern: String.raw`model\.language_model\..*_proj` });
const lora = (rank: number): Job => ({ kind: 'lora', adapter: adapter(rank) });
const use: Use = { frame: 768, group: 8, maxTokens: 400, prompts: 1 };

describe('counted', () => {
  // The published indexes say total_size 7,509,245,952 and 16,584,333,312 bytes of bfloat16.
  it.each([
    ['3b', 3_754_622_976],
    ['7b', 8_292_166_656],
  ])('counts the weights of the published %s', async (size, all) => {
    const own = counted(await published(size));
    expect(own.all).toBe(all);
    expect(own.language + own.vision + own.embeddings).toBe(all);
  });
});

describe('memoryOf', () => {
  it('holds weights once here and once a worker, and what learns with its gradients and moments', () => {
    const bytes = 4 * parameters(weightShapes(config));
    const { parts, total } = memoryOf(config, { kind: 'full' }, { ...use, workers: 2 });
    expect(parts).toMatchObject({ weights: 3 * bytes, gradients: 6 * bytes, moments: 2 * bytes });
    expect(total).toBe(Object.values(parts).reduce((sum, part) => sum + part, 0));
  });

  it('holds weights that are only read once a worker, or once for all where they are mapped', () => {
    const bytes = 4 * parameters(weightShapes(config));
    const weights = (mapped: boolean) =>
      memoryOf(config, { kind: 'rollout' }, { ...use, workers: 3, mapped }).parts['weights'];
    expect([weights(false), weights(true)]).toEqual([3 * bytes, bytes]);
    const beside = (mapped: boolean) =>
      memoryOf(config, lora(16), { ...use, mapped, workers: 3 }).parts['weights'] - weights(mapped);
    // The adapter here, and once a worker.
    expect([beside(false), beside(true)]).toEqual(
      [4, 4].map((sets) => 4 * sets * parameters(adapterShapes(config, adapter(16)))),
    );
  });

  it('holds no more logits at once than a chunk has', () => {
    const { vocab, hidden } = config.text;
    const logits = (job: Job, maxTokens: number) => memoryOf(config, job, { ...use, group: 1, maxTokens }).parts;
    // Four bytes, six of each; 110 tokens of 151,936 logits are below 2^24, 111 above.
    expect(logits(lora(16), 110)['logits']).toBe(24 * 110 * vocab);
    expect(logits(lora(16), 111)['logits']).toBe(24 * 2 ** 24);
    expect(logits(lora(16), 1100)['logits']).toBe(24 * 2 ** 24);
    expect(logits(lora(16), 1100)).not.toHaveProperty('vocabulary');
    expect(logits({ kind: 'full' }, 110)).not.toHaveProperty('vocabulary');
    expect(logits({ kind: 'full' }, 1100)['vocabulary']).toBe(12 * vocab * hidden);
  });

  it('keeps of an adapter only what has its rank', () => {
    const [four, eight] = [memoryOf(config, lora(4), use).parts, memoryOf(config, lora(8), use).parts];
    for (const part of ['gradients', 'moments']) expect(eight[part]).toBe(2 * four[part]);
    expect([eight['vision tower'], eight['logits']]).toEqual([four['vision tower'], four['logits']]);
    // A · x of seven matrices a layer, for each token of the prompt and the completions; four bytes.
    expect(eight['decoder'] - four['decoder']).toBeCloseTo(
      4 * 4 * 7 * config.text.layers * (27 * 27 + 256 + 8 * 400),
      -3,
    );
  });

  it('holds no copy of what it adapts, nor a gradient of it', () => {
    const { parts } = memoryOf(config, lora(16), { ...use, mapped: true });
    expect(Object.keys(parts).filter((part) => /weight|matri|gradient/.test(part))).toEqual(['weights', 'gradients']);
    const own = parameters(adapterShapes(config, adapter(16)));
    expect([parts['weights'], parts['gradients']]).toEqual([4 * parameters(weightShapes(config)) + 8 * own, 12 * own]);
  });

  it('keeps what the vision tower computes where something in it learns', () => {
    const seen = (pattern: string, more: Partial<Use>) =>
      memoryOf(
        config,
        { kind: 'lora', adapter: adapterOf(config, { rank: 16, alpha: 1, pattern }) },
        { ...use, ...more },
      ).parts;
    const [all, language] = [seen(String.raw`.*_proj`, {}), seen(String.raw`model\.language_model\..*_proj`, {})];
    expect(all['decoder']).toBe(language['decoder']);
    expect(all['vision tower']).toBeGreaterThan(5e9);
    expect(language).not.toHaveProperty('vision tower');
    // Where the tower is as wide as the decoder, one block of an image may need more than all that comes after it:
    // there are four patches to a token.
    const narrow = { ...config, text: { ...config.text, hidden: 1280, intermediate: 3420 } };
    const beside = memoryOf(
      narrow,
      {
        kind: 'lora',
        adapter: adapterOf(narrow, { rank: 16, alpha: 1, pattern: String.raw`model\.language_model\..*_proj` }),
      },
      { ...use, maxTokens: 1, text: 1, frame: 2800, gradientCheckpointing: true },
    );
    expect(beside.parts['vision tower']).toBeGreaterThan(1e9);
  });

  it('keeps scores that are computed together, and of others a block at a time', () => {
    const kept = (more: Partial<Use>) =>
      memoryOf(config, lora(16), { ...use, group: 1, maxTokens: 1, ...more }).parts['scores'];
    const { heads, layers } = config.text;
    // Of 504 px 324 image tokens; 16 heads over 512 tokens have 2^22 scores. Of a completion of one token, one row a
    // head.
    const tokens = { frame: 504, text: 512 - 324 };
    expect(kept(tokens)).toBe(4 * (layers * heads * (512 * 512 + 513) + 2 * 2 ** 22));
    expect(kept({ ...tokens, text: 513 - 324 })).toBe(4 * (layers * heads * 514 + 2 * 2 ** 22));
    expect(kept({ ...tokens, gradientCheckpointing: true })).toBe(4 * 2 * 2 ** 22);
  });

  it('grows with the frame, the group, the tokens, the prompts and the workers', () => {
    const jobs = fc.constantFrom<Job>({ kind: 'rollout' }, { kind: 'full' }, lora(16));
    const uses = fc.record({
      frame: fc.integer({ min: 2, max: 30 }).map((n) => 28 * n),
      group: fc.integer({ min: 1, max: 16 }),
      maxTokens: fc.integer({ min: 1, max: 600 }),
      prompts: fc.integer({ min: 1, max: 4 }),
      workers: fc.integer({ min: 1, max: 3 }),
    });
    const steps = { frame: 28, group: 1, maxTokens: 1, prompts: 1, workers: 1 };
    fc.assert(
      fc.property(jobs, uses, fc.constantFrom(...(Object.keys(steps) as (keyof typeof steps)[])), (job, small, key) => {
        const larger = { ...small, [key]: small[key] + steps[key] };
        // Scores that become too many to be kept are left out.
        const [a, b] = [small, larger]
          .map((each) => memoryOf(config, job, each))
          .map(({ total, parts }) => total - (parts['scores'] ?? 0)) as [number, number];
        // A frame of up to 1,036 px has as many patches more; a rollout's vision tower may hide what the decoder needs.
        expect(b).toBeGreaterThanOrEqual(a);
        if (job.kind !== 'rollout') expect(b).toBeGreaterThan(a);
      }),
    );
  });

  it('keeps what a layer hands on and one layer whole, where layers are computed again', () => {
    const both: Job = {
      kind: 'lora',
      adapter: adapterOf(config, { rank: 16, alpha: 1, pattern: String.raw`.*_proj` }),
    };
    const [all, again] = [
      memoryOf(config, both, use).parts,
      memoryOf(config, both, { ...use, gradientCheckpointing: true }).parts,
    ];
    const { hidden, layers, kvHeads, headDim } = config.text;
    // 27 × 27 image tokens of 768 px, the question, and the completions; four bytes.
    const stream = 4 * layers * (hidden + 2 * kvHeads * headDim) * (27 * 27 + 256 + 8 * 400);
    expect(again['decoder']).toBeCloseTo(stream + all['decoder'] / layers, -3);
    expect(again['vision tower']).toBeLessThan(all['vision tower'] / 4);
  });

  it('counts a running average of what learns, half of the moments', () => {
    for (const job of [{ kind: 'full' } as const, lora(16)]) {
      const [plain, averaged] = [memoryOf(config, job, use), memoryOf(config, job, { ...use, ema: true })];
      expect(averaged.parts).toEqual({ ...plain.parts, average: plain.parts['moments'] / 2 });
    }
    expect(memoryOf(config, { kind: 'rollout' }, { ...use, ema: true })).toEqual(
      memoryOf(config, { kind: 'rollout' }, use),
    );
  });

  it('halves in bfloat16 what workers hold, and leaves what the optimizer changes', () => {
    const [wide, half] = [
      memoryOf(config, { kind: 'full' }, use).parts,
      memoryOf(config, { kind: 'full' }, { ...use, precision: 'bfloat16' }).parts,
    ];
    expect([half['gradients'], half['decoder'], half['moments']]).toEqual([
      wide['gradients'] / 2,
      wide['decoder'] / 2,
      wide['moments'],
    ]);
    expect(half['weights']).toBe(0.75 * wide['weights']);
  });
});

// What a stand-in for a GPU counts, these sums are held to in test/cuda.
describe('deviceMemoryOf', () => {
  it('holds frozen matrices in the precision, vectors in float32, and what learns with 16 bytes a weight', () => {
    const [matrices, vectors] = [true, false].map((wide) =>
      parameters(weightShapes(config).filter(({ sizes }) => Object.keys(sizes).length > 1 === wide)),
    ) as [number, number];
    const own = parameters(adapterShapes(config, adapter(16)));
    const { parts } = deviceMemoryOf(config, lora(16), { ...use, precision: 'bfloat16' });
    // An adapter's sides are matrices: products take copies of them.
    expect(parts).toMatchObject({
      weights: 2 * matrices + 4 * vectors + 6 * own,
      gradients: 4 * own,
      moments: 8 * own,
    });
    expect(deviceMemoryOf(config, { kind: 'rollout' }, { ...use, precision: 'float16' }).parts['weights']).toBe(
      2 * matrices + 4 * vectors,
    );
    expect(deviceMemoryOf(config, { kind: 'full' }, use).parts).toMatchObject({
      weights: 4 * (matrices + vectors),
      gradients: 4 * (matrices + vectors),
      moments: 8 * (matrices + vectors),
    });
  });

  it('counts four tables of the vocabulary where their gradient is added up', () => {
    const { vocab, hidden } = config.text;
    expect(deviceMemoryOf(config, { kind: 'full' }, use).parts['vocabulary']).toBe(16 * vocab * hidden);
    expect(deviceMemoryOf(config, lora(16), use).parts).not.toHaveProperty('vocabulary');
  });

  it('takes what the most demanding stage of a rollout takes', () => {
    const stage = (frame: number, maxTokens: number) =>
      Object.keys(deviceMemoryOf(config, { kind: 'rollout' }, { ...use, frame, maxTokens, prompts: 8 }).parts);
    expect(stage(1008, 1)).toEqual(['weights', 'vision tower']);
    expect(stage(56, 1)).toEqual(['weights', 'decoder and its cache']);
    expect(stage(56, 1000)).toEqual(['weights', 'decoder and its cache', 'logits']);
  });

  it('never falls with the group, the tokens and the prompts', () => {
    const jobs = fc.constantFrom<Job>({ kind: 'rollout' }, { kind: 'full' });
    const uses = fc.record({
      frame: fc.integer({ min: 2, max: 16 }).map((n) => 28 * n),
      group: fc.integer({ min: 1, max: 4 }),
      maxTokens: fc.integer({ min: 1, max: 64 }),
      gradientCheckpointing: fc.constant(true),
      prompts: fc.constant(1),
      precision: fc.constantFrom('float32', 'bfloat16'),
    });
    fc.assert(
      fc.property(jobs, uses, fc.constantFrom('group', 'maxTokens'), (job, small, key) => {
        // But for a chunk of logits, which are cut evenly.
        const [a, b] = [small, { ...small, [key]: small[key] + 16 }]
          .map((each) => deviceMemoryOf(config, job, each))
          .map(({ total, parts }) => total - (parts['logits'] ?? 0)) as [number, number];
        expect(b).toBeGreaterThanOrEqual(a - 4 * 6 * 2 ** 24);
      }),
    );
  });
});

describe('inspectPolicy', () => {
  it('says what lies in the files of a checkpoint', async () => {
    const seen = await inspectPolicy(tied, use);
    expect(seen).toMatchObject({
      kind: 'checkpoint',
      folder: tied,
      architecture: 'qwen2_5_vl',
      tied: true,
      stored: { files: 2, dtypes: ['BF16'] },
      parameters: counted(await readConfig(tied)),
    });
    expect(seen.stored.bytes).toBe(2 * counted(await readConfig(tied)).all);
    expect(seen).toHaveProperty('memory', memories(await readConfig(tied), use));
  });

  it('counts what a GPU takes where it is asked to, and no training in float16', async () => {
    const seen = await inspectPolicy(tied, { ...use, device: 'cuda', precision: 'float16' });
    expect(seen).toHaveProperty('memory', {
      rollout: deviceMemoryOf(await readConfig(tied), { kind: 'rollout' }, { ...use, precision: 'float16' }),
    });
  });

  it('says what an adapter is, and its base where that is at hand', async () => {
    const dir = join(fixturesFolder(), 'policy', 'train', 'lora');
    const alone = await inspectPolicy(dir, use);
    expect(alone).toMatchObject({
      kind: 'adapter',
      rank: 4,
      base: 'tiny-qwen2_5_vl',
      stored: { files: 1, dtypes: ['F32'] },
    });
    expect(alone).not.toHaveProperty('checkpoint');
    const both = await inspectPolicy(dir, use, tiny);
    expect(both).toMatchObject({
      kind: 'adapter',
      parameters: (alone as { parameters: number }).parameters,
      base: tiny,
      checkpoint: { tied: false },
    });
    expect(both).toHaveProperty(['checkpoint', 'memory', 'lora 4', 'total']);
  });
});
