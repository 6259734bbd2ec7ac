import { describe, expect, it } from 'vitest';

import { imageReader, openGrabCut, openQwen, openSam2, openScorer, UsageError } from '../src/index.js';
import { tiny } from './models/vlm/opened.js';

describe('openPolicy', () => {
  it.each<[string, object, string]>([
    [
      'a format by another name',
      { save: 'f32' },
      'openPolicy.save: expected one of "float32"|"bfloat16"|"float16"; got "f32"',
    ],
    ['no worker', { workers: 0 }, 'openPolicy.workers: expected at least 1; got 0'],
    ['a hundred thousand workers', { workers: 100_000 }, 'openPolicy.workers: expected at most 256; got 100000'],
    ['a million cores', { threads: 1_000_000 }, 'openPolicy.threads: expected at most 256; got 1000000'],
    ['as many prompts as there are people', { batch: 8e9 }, 'openPolicy.batch: expected at most 1024; got 8000000000'],
    ['half a core', { threads: 1.5 }, 'openPolicy.threads: expected an integer; got 1.5'],
    ['a number as text', { batch: '4' }, 'openPolicy.batch: expected a number; got "4"'],
    ['an option that there is not', { sav: 'float32' }, 'openPolicy has no option "sav"; known: '],
    ['another precision', { precision: 'int8' }, 'openPolicy.precision: expected one of "float32"'],
    ['another engine', { runtime: 'torch' }, 'openPolicy.runtime: expected '],
    ['something else to train', { train: 'head' }, 'openPolicy.train: expected '],
    [
      'an adapter without a rank',
      { train: { lora: { rank: 0, targets: ['q_proj'] } } },
      'lora.rank: expected at least 1',
    ],
    [
      'an adapter of nothing',
      { train: { lora: { rank: 2 } } },
      'expected targets, such as [q_proj, v_proj], or a pattern',
    ],
    ['a device by its name', { device: 'cuda' }, 'openPolicy.device: expected '],
    ['a prompt without words', { prompt: { user: '' } }, 'openPolicy.prompt'],
    ['a notice that is none', { notice: 'yes' }, 'openPolicy.notice: expected a function'],
    ['tokens that are none', { suppressed: [-1] }, 'openPolicy.suppressed.0: expected at least 0; got -1'],
  ])('refuses %s as a pipeline does', async (_, options, message) => {
    const refused = await openQwen(tiny, options).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(UsageError);
    expect((refused as Error).message).toContain(message);
  });

  it('refuses a rank that no matrix has', async () => {
    const train = { lora: { rank: 1_000_000, alpha: 8, targets: ['q_proj'] } };
    await expect(openQwen(tiny, { train })).rejects.toThrow(
      `${tiny}  lora.rank: expected at most 64, the longest side of the matrices; got 1000000`,
    );
  });

  it('has a pipeline’s defaults', async () => {
    const policy = await openQwen(tiny);
    expect(policy.batch).toBe(4);
    await policy.release();
  });
});

describe('the other openers', () => {
  it.each<[string, () => Promise<unknown>, string]>([
    [
      'openSam2',
      () => openSam2({ checkpoint: tiny, precision: 'f32' as 'float32' }),
      'openSam2.precision: expected one of',
    ],
    ['openSam2', () => openSam2({ checkpoint: tiny, threads: 1e6 }), 'openSam2.threads: expected at most 256'],
    ['openGrabCut', () => openGrabCut({ threads: 1e6 }), 'openGrabCut.threads: expected at most 256'],
    ['openGrabCut', () => openGrabCut({ size: 1 }), 'openGrabCut.size: expected at least 8; got 1'],
    ['imageReader', async () => imageReader({ cacheMegabytes: -1 }), 'imageReader.cacheMegabytes: expected at least 0'],
    ['openScorer', async () => openScorer(0), 'openScorer.threads: expected at least 1; got 0'],
  ])('%s refuses what isn’t as it should be', async (_, work, message) => {
    const refused = await work().catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(UsageError);
    expect((refused as Error).message).toContain(message);
  });
});
