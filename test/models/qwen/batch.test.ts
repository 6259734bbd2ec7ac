import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { EncodedPrompt, TrainRow } from '../../../src/models/policy.js';
import { chunks, completionFeeds, completionLength, packed, prefixFeeds, prefixShape } from '../../../src/models/qwen/batch.js';
import { readConfig } from '../../../src/models/qwen/config.js';
import type { Grid } from '../../../src/models/qwen/positions.js';
import { fixturesFolder } from '../../golden/golden.js';

const config = await readConfig(join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl'));
const { pad, image } = config.tokens;
const text = (length: number): EncodedPrompt => ({ text: '', tokens: Array.from({ length }, (_, i) => i + 1), images: [] });
const pictured = (length: number, grid: Grid, value = 0): EncodedPrompt => ({
  text: '',
  tokens: [...text(length).tokens, ...Array.from({ length: (grid.h * grid.w) / 4 }, () => image)],
  images: [{ pixels: new Float32Array(grid.h * grid.w * 1176).fill(value), grid }],
});
const [square, wide] = [{ h: 4, w: 4 }, { h: 4, w: 8 }];

describe('chunks', () => {
  it('puts together what one graph can serve, in order, at most `size` of it', () => {
    const prompts = [text(3), pictured(3, square), text(8), pictured(2, wide), pictured(4, square), text(5), text(9), pictured(5, square)];
    expect(chunks(prompts, 2)).toEqual([[0, 2], [1, 4], [3], [5], [6], [7]]);
    expect(chunks(prompts, 1)).toHaveLength(8);
    expect(chunks([], 4)).toEqual([]);
  });
});

describe('packed', () => {
  const row = (prompt: number, answer: number): TrainRow => ({ prompt: text(prompt), completions: [text(answer).tokens], perToken: {} });
  const rows = [row(8, 40), row(8, 10), row(20, 4), row(7, 16), row(8, 33), row(8, 2)];

  it('is as many as one run takes where tokens are not counted', () => {
    expect(packed(rows, 4)).toEqual([{ indices: [0, 1, 3, 4], room: 4 }, { indices: [2], room: 4 }, { indices: [5], room: 4 }]);
  });

  it('puts rows of one length together, and as many as the tokens allow', () => {
    // Rows take 8 + 48, 8 + 16, 24 + 16, 8 + 16, 8 + 48 and 8 + 16 tokens.
    expect(packed(rows, 4, 56)).toEqual([{ indices: [1, 3], room: 2 }, { indices: [5], room: 2 }, { indices: [0], room: 1 }, { indices: [4], room: 1 }, { indices: [2], room: 1 }]);
    expect(packed(rows, 2, 1000).map(({ indices }) => indices)).toEqual([[1, 3], [5, 0], [4], [2]]);
  });

  it('lets a row that is too long go alone, and loses none', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 60 })), { maxLength: 12 }), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 300 }), (lengths, size, tokens) => {
        const drawn = lengths.map(([prompt, answer]) => row(prompt, answer));
        const runs = packed(drawn, size, tokens);
        expect(runs.flatMap(({ indices }) => indices).toSorted((a, b) => a - b)).toEqual([...drawn.keys()]);
        for (const { indices, room } of runs) {
          const part = indices.map((i) => drawn[i]);
          const each = prefixShape(part.map(({ prompt }) => prompt), room).tokens + completionLength(part);
          expect(indices.length <= room && room <= size && (room === 1 || room * each <= tokens)).toBe(true);
        }
      }),
    );
  });
});

describe('shapes', () => {
  it('are rounded up, so that few graphs serve many batches', () => {
    expect(prefixShape([text(3), text(9)], 4)).toEqual({ prompts: 4, tokens: 16, grids: [] });
    expect(prefixShape([pictured(4, wide)], 1)).toEqual({ prompts: 1, tokens: 16, grids: [wide] });
    const row = (...lengths: number[]): TrainRow => ({ prompt: text(1), completions: lengths.map((length) => text(length).tokens), perToken: {} });
    expect([completionLength([row(3, 1)]), completionLength([row(3), row(17, 1)]), completionLength([row()])]).toEqual([16, 32, 16]);
  });
});

describe('prefixFeeds', () => {
  it('pads at the left, counts features over the whole batch, and fills empty places with the first prompt', () => {
    const prompts = [pictured(3, square, 0.25), pictured(4, square, 0.5)];
    const feeds = prefixFeeds(config, prompts, prefixShape(prompts, 3), 2);
    const rows = (name: string): number[][] => [0, 1, 2].map((r) => Array.from(feeds[name] as BigInt64Array, Number).slice(8 * r, 8 * r + 8));
    expect(rows('tokens')).toEqual([[pad, 1, 2, 3, image, image, image, image], [1, 2, 3, 4, image, image, image, image], [pad, 1, 2, 3, image, image, image, image]]);
    expect(rows('visual')).toEqual([0, 4, 8].map((first) => [-1, -1, -1, -1, first, first + 1, first + 2, first + 3]));
    expect([...(feeds['padding'] as BigInt64Array)]).toEqual([1n, 0n, 1n]);
    expect([0, 1, 2].map((r) => feeds['pixels'][r * 16 * 1176])).toEqual([0.25, 0.5, 0.25]);
    // Three words at 0, 1, 2, an image of 2 × 2 tokens at 3: the next token is at 5 on every axis, the one after at 6.
    const half = config.text.headDim / 2;
    expect([0, half].map((at) => feeds['nextCos'][at])).toEqual([5, 6].map((place) => Math.fround(Math.cos(place))));
    expect(feeds['nextSin']).toHaveLength(3 * 2 * half);
  });

  it('numbers the features of several images row by row, and counts on behind the longer side of each', () => {
    const both = [square, wide].map((grid, i) => ({ grid, pixels: new Float32Array(grid.h * grid.w * 1176).fill(i + 1) }));
    const tokens = [1, ...Array.from({ length: 4 }, () => image), 2, ...Array.from({ length: 8 }, () => image), 3];
    const prompts = [{ text: '', tokens, images: both }, { text: '', tokens, images: both }];
    const shape = prefixShape(prompts, 2);
    expect([shape, chunks([...prompts, { ...prompts[0], images: both.toReversed() }], 4)]).toEqual([{ prompts: 2, tokens: 16, grids: [square, wide] }, [[0, 1], [2]]]);
    const feeds = prefixFeeds(config, prompts, shape, 1);
    const row = (from: number): number[] => [-1, -1, from, from + 1, from + 2, from + 3, -1, ...Array.from({ length: 8 }, (_, i) => from + 4 + i), -1];
    expect(Array.from(feeds['visual'] as BigInt64Array, Number)).toEqual([...row(0), ...row(12)]);
    expect([0, 16, 48, 64].map((patch) => feeds['pixels'][patch * 1176])).toEqual([1, 2, 1, 2]);
    // 1 at 0, an image at 1 and 2, 2 at 3, an image of 2 × 4 at 4 to 7, 3 at 8: the next token is at 9.
    expect(feeds['nextCos'][0]).toBe(Math.fround(Math.cos(9)));
  });

  it.each([[3, 'expected 4 + 8 for 2 images; got 11'], [5, 'expected 4 + 8 for 2 images; got 13']])('refuses %i tokens for an image of four', (seen, text) => {
    const both = [square, wide].map((grid) => ({ grid, pixels: new Float32Array(grid.h * grid.w * 1176) }));
    const prompt = { text: '', tokens: [...Array.from({ length: seen }, () => image), 2, ...Array.from({ length: 8 }, () => image)], images: both };
    expect(() => prefixFeeds(config, [prompt], prefixShape([prompt], 1), 1)).toThrow(`image placeholders: ${text}`);
  });

  it('refuses tokens of an image that is not there', () => {
    const prompt = { ...text(3), tokens: [1, image, 2] };
    expect(() => prefixFeeds(config, [prompt], prefixShape([prompt], 1), 1)).toThrow('image placeholders: expected 0 for 0 images; got 1');
  });

  it('has nothing to see in text alone', () => {
    const feeds = prefixFeeds(config, [text(3)], prefixShape([text(3)], 1), 1);
    expect(Object.keys(feeds).toSorted()).toEqual(['cos', 'nextCos', 'nextSin', 'padding', 'sin', 'tokens']);
  });
});

describe('completionFeeds', () => {
  it('puts every number at its place, and 0 where there is none', () => {
    const rows: TrainRow[] = [
      { prompt: text(1), completions: [[5, 6], [7]], perToken: { weight: [[0.5, 0.25], [1]] }, perSample: { advantages: [2, 3] }, perPrompt: { patchWeight: Float32Array.of(9) } },
      { prompt: text(1), completions: [[8]], perToken: { weight: [[4]] }, perSample: { advantages: [-1] }, perPrompt: { patchWeight: Float32Array.of(8) } },
    ];
    const feeds = completionFeeds(rows, { prompts: 3, tokens: 8, grids: [], samples: 2, length: 3, suppressed: [] }, pad);
    expect(Array.from(feeds['written'] as BigInt64Array, Number)).toEqual([5, 6, pad, 7, pad, pad, 8, ...Array.from({ length: 11 }, () => pad)]);
    expect([...(feeds['weight'] as Float32Array)]).toEqual([0.5, 0.25, 0, 1, 0, 0, 4, ...Array.from({ length: 11 }, () => 0)]);
    expect([...(feeds['advantages'] as Float32Array)]).toEqual([2, 3, -1, 0, 0, 0]);
    expect([...(feeds['patchWeight'] as Float32Array)]).toEqual([9, 8, 0]);
  });
});
