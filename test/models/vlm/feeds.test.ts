import { describe, expect, it } from 'vitest';

import { uniform } from '../../../src/random.js';
import type { TrainRow } from '../../../src/models/policy.js';
import { prefixShape } from '../../../src/models/vlm/batch.js';
import { completionFeeds, prefixFeeds, rolloutFeeds, seenIds } from '../../../src/models/vlm/feeds.js';
import { config, pictured, square, text, wide } from './encoded.js';

const { pad, image } = config.tokens;

describe('prefixFeeds', () => {
  it('pads at the left, counts features over the whole batch, and fills empty places with the first prompt', () => {
    const prompts = [pictured(3, square, 0.25), pictured(4, square, 0.5)];
    const feeds = prefixFeeds(config, prompts, prefixShape(prompts, 3), 2);
    const rows = (name: string): number[][] =>
      [0, 1, 2].map((r) => Array.from(feeds[name] as BigInt64Array, Number).slice(8 * r, 8 * r + 8));
    expect(rows('tokens')).toEqual([
      [pad, 1, 2, 3, image, image, image, image],
      [1, 2, 3, 4, image, image, image, image],
      [pad, 1, 2, 3, image, image, image, image],
    ]);
    expect(rows('visual')).toEqual([0, 4, 8].map((first) => [-1, -1, -1, -1, first, first + 1, first + 2, first + 3]));
    expect([...(feeds['padding'] as BigInt64Array)]).toEqual([1n, 0n, 1n]);
    expect([0, 1, 2].map((r) => feeds['pixels'][r * 16 * 1176])).toEqual([0.25, 0.5, 0.25]);
    // Three words at 0, 1, 2, an image of 2 × 2 tokens at 3: the next token is at 5 on every axis, the one after at 6.
    const half = config.text.headDim / 2;
    expect([0, half].map((at) => feeds['nextCos'][at])).toEqual([5, 6].map((place) => Math.fround(Math.cos(place))));
    expect(feeds['nextSin']).toHaveLength(3 * 2 * half);
  });

  it('numbers the features of several images row by row, and counts on behind the longer side of each', () => {
    const both = [square, wide].map((grid, i) => ({
      grid,
      pixels: new Float32Array(grid.h * grid.w * 1176).fill(i + 1),
    }));
    const tokens = [1, ...Array.from({ length: 4 }, () => image), 2, ...Array.from({ length: 8 }, () => image), 3];
    const prompts = [
      { text: '', tokens, images: both },
      { text: '', tokens, images: both },
    ];
    const shape = prefixShape(prompts, 2);
    expect(shape).toEqual({ prompts: 2, tokens: 16, grids: [square, wide] });
    const feeds = prefixFeeds(config, prompts, shape, 1);
    const row = (from: number): number[] => [
      -1,
      -1,
      from,
      from + 1,
      from + 2,
      from + 3,
      -1,
      ...Array.from({ length: 8 }, (_, i) => from + 4 + i),
      -1,
    ];
    expect(Array.from(feeds['visual'] as BigInt64Array, Number)).toEqual([...row(0), ...row(12)]);
    expect([0, 16, 48, 64].map((patch) => feeds['pixels'][patch * 1176])).toEqual([1, 2, 1, 2]);
    // 1 at 0, an image at 1 and 2, 2 at 3, an image of 2 × 4 at 4 to 7, 3 at 8: the next token is at 9.
    expect(feeds['nextCos'][0]).toBe(Math.fround(Math.cos(9)));
  });

  it.each([
    [3, 'expected 4 + 8 for 2 images; got 11'],
    [5, 'expected 4 + 8 for 2 images; got 13'],
  ])('refuses %i tokens for an image of four', (seen, text) => {
    const both = [square, wide].map((grid) => ({ grid, pixels: new Float32Array(grid.h * grid.w * 1176) }));
    const prompt = {
      text: '',
      tokens: [...Array.from({ length: seen }, () => image), 2, ...Array.from({ length: 8 }, () => image)],
      images: both,
    };
    expect(() => prefixFeeds(config, [prompt], prefixShape([prompt], 1), 1)).toThrow(`image placeholders: ${text}`);
  });

  it('refuses tokens of an image that is not there', () => {
    const prompt = { ...text(3), tokens: [1, image, 2] };
    expect(() => prefixFeeds(config, [prompt], prefixShape([prompt], 1), 1)).toThrow(
      'image placeholders: expected 0 for 0 images; got 1',
    );
  });

  it('has nothing to see in text alone', () => {
    const feeds = prefixFeeds(config, [text(3)], prefixShape([text(3)], 1), 1);
    expect(Object.keys(feeds).toSorted()).toEqual(['cos', 'nextCos', 'nextSin', 'padding', 'sin', 'tokens']);
  });
});

describe('completionFeeds', () => {
  it('puts every number at its place, and 0 where there is none', () => {
    const rows: TrainRow[] = [
      {
        prompt: text(1),
        completions: [[5, 6], [7]],
        perToken: { weight: [[0.5, 0.25], [1]] },
        perSample: { advantages: [2, 3] },
        perPrompt: { patchWeight: Float32Array.of(9) },
      },
      {
        prompt: text(1),
        completions: [[8]],
        perToken: { weight: [[4]] },
        perSample: { advantages: [-1] },
        perPrompt: { patchWeight: Float32Array.of(8) },
      },
    ];
    const feeds = completionFeeds(
      rows,
      { prompts: 3, tokens: 8, grids: [], samples: 2, length: 3, suppressed: [] },
      pad,
    );
    expect(Array.from(feeds['written'] as BigInt64Array, Number)).toEqual([
      5,
      6,
      pad,
      7,
      pad,
      pad,
      8,
      ...Array.from({ length: 11 }, () => pad),
    ]);
    expect([...(feeds['weight'] as Float32Array)]).toEqual([
      0.5,
      0.25,
      0,
      1,
      0,
      0,
      4,
      ...Array.from({ length: 11 }, () => 0),
    ]);
    expect([...(feeds['advantages'] as Float32Array)]).toEqual([2, 3, -1, 0, 0, 0]);
    expect([...(feeds['patchWeight'] as Float32Array)]).toEqual([9, 8, 0]);
  });
});

describe('rolloutFeeds', () => {
  const shape = { ...prefixShape([text(3)], 2), samples: 2, maxTokens: 3, greedy: false, suppressed: [], ends: [] };
  const draws = {
    temperature: 0.5,
    random: {
      uniforms: [0, 1].map((prompt) => Float32Array.from([0, 1, 2, 4, 5, 6], (i) => prompt / 2 + i / 16)),
    },
  };

  it('draws for each prompt by its place in the call, and nothing for empty places', () => {
    const feeds = rolloutFeeds(config, [text(3)], [1], shape, draws);
    expect([...(feeds['uniforms'] as Float32Array)]).toEqual([
      0.5, 0.5625, 0.625, 0.75, 0.8125, 0.875, 0, 0, 0, 0, 0, 0,
    ]);
    expect(feeds['temperature']).toEqual(Float32Array.of(0.5));
  });

  it('draws by a key a prompt', () => {
    const random = { keys: [['a'], ['b', 3]] };
    const { uniforms } = rolloutFeeds(config, [text(3)], [1], shape, { temperature: 1, random });
    expect([...(uniforms as Float32Array)].slice(0, 6)).toEqual(
      [0, 1].flatMap((s) => [0, 1, 2].map((t) => uniform('b', 3, s, t))),
    );
  });

  it.each([
    ['none', {}],
    ['none', { random: { keys: [['a']] } }],
    ['5', { random: { uniforms: [new Float32Array(6), new Float32Array(5)] } }],
  ])('says what draws it expects; got %s', (got, random) => {
    expect(() => rolloutFeeds(config, [text(3)], [1], shape, { temperature: 1, ...random })).toThrow(
      `generate  random: expected 2 × 3 draws, or a key, for the prompt 1; got ${got}`,
    );
  });

  it('draws nothing where the likeliest token is taken, and remembers ids for a penalty alone', () => {
    expect(rolloutFeeds(config, [text(3)], [0], { ...shape, greedy: true }, draws)).not.toHaveProperty('uniforms');
    expect(rolloutFeeds(config, [text(3)], [0], shape, draws)).not.toHaveProperty('seen');
    expect(rolloutFeeds(config, [text(3)], [0], { ...shape, repetitionPenalty: 1.5 }, draws)['seen']).toEqual(
      seenIds([[1, 2, 3]], 2, config.text.vocab),
    );
  });
});

describe('seenIds', () => {
  it('are those of each prompt', () => {
    expect([...seenIds([[1, 1, 3], new Set([0])], 3, 4)]).toEqual([0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
  });
});
