import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { TrainRow } from '../../../src/models/policy.js';
import { chunks, completionLength, packed, prefixShape, trainChunks } from '../../../src/models/vlm/batch.js';
import { pictured, square, text, wide } from './encoded.js';

describe('chunks', () => {
  it('puts together what one graph can serve, in order, at most `size` of it', () => {
    const prompts = [
      text(3),
      pictured(3, square),
      text(8),
      pictured(2, wide),
      pictured(4, square),
      text(5),
      text(9),
      pictured(5, square),
    ];
    expect(chunks(prompts, 2)).toEqual([[0, 2], [1, 4], [3], [5], [6], [7]]);
    expect(chunks(prompts, 1)).toHaveLength(8);
    expect(chunks([], 4)).toEqual([]);
  });

  it('keeps images in another order apart', () => {
    const { images } = pictured(0, square);
    const both = [...images, ...pictured(0, wide).images];
    const [prompt, turned] = [both, both.toReversed()].map((pictures) => ({ ...text(3), images: pictures }));
    expect(chunks([prompt, prompt, turned], 4)).toEqual([[0, 1], [2]]);
  });
});

describe('packed', () => {
  const row = (prompt: number, answer: number): TrainRow => ({
    prompt: text(prompt),
    completions: [text(answer).tokens],
    perToken: {},
  });
  const rows = [row(8, 40), row(8, 10), row(20, 4), row(7, 16), row(8, 33), row(8, 2)];

  it('is as many as one run takes where tokens are not counted', () => {
    expect(packed(rows, 4)).toEqual([
      { indices: [0, 1, 3, 4], room: 4 },
      { indices: [2], room: 4 },
      { indices: [5], room: 4 },
    ]);
  });

  it('puts rows of one length together, and as many as the tokens allow', () => {
    // Rows take 8 + 48, 8 + 16, 24 + 16, 8 + 16, 8 + 48 and 8 + 16 tokens.
    expect(packed(rows, 4, 56)).toEqual([
      { indices: [1, 3], room: 2 },
      { indices: [5], room: 2 },
      { indices: [0], room: 1 },
      { indices: [4], room: 1 },
      { indices: [2], room: 1 },
    ]);
    expect(packed(rows, 2, 1000).map(({ indices }) => indices)).toEqual([[1, 3], [5, 0], [4], [2]]);
  });

  it('lets a row that is too long go alone, and loses none', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 60 })), { maxLength: 12 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 300 }),
        (lengths, size, tokens) => {
          const drawn = lengths.map(([prompt, answer]) => row(prompt, answer));
          const runs = packed(drawn, size, tokens);
          expect(runs.flatMap(({ indices }) => indices).toSorted((a, b) => a - b)).toEqual([...drawn.keys()]);
          for (const { indices, room } of runs) {
            const part = indices.map((i) => drawn[i]);
            const each =
              prefixShape(
                part.map(({ prompt }) => prompt),
                room,
              ).tokens + completionLength(part);
            expect(indices.length <= room && room <= size && (room === 1 || room * each <= tokens)).toBe(true);
          }
        },
      ),
    );
  });
});

describe('shapes', () => {
  it('are rounded up, so that few graphs serve many batches', () => {
    expect(prefixShape([text(3), text(9)], 4)).toEqual({ prompts: 4, tokens: 16, grids: [] });
    expect(prefixShape([pictured(4, wide)], 1)).toEqual({ prompts: 1, tokens: 16, grids: [wide] });
    const row = (...lengths: number[]): TrainRow => ({
      prompt: text(1),
      completions: lengths.map((length) => text(length).tokens),
      perToken: {},
    });
    expect([completionLength([row(3, 1)]), completionLength([row(3), row(17, 1)]), completionLength([row()])]).toEqual([
      16, 32, 16,
    ]);
  });
});

describe('trainChunks', () => {
  it('gives rows that run together a graph with room for the longest of them', () => {
    const row = (prompt: number, ...answers: number[]): TrainRow => ({
      prompt: text(prompt),
      completions: answers.map((length) => text(length).tokens),
      perToken: {},
    });
    const rows = [row(8, 3, 17), row(20, 4), row(5, 1)];
    const own = { suppressed: [7], gradientCheckpointing: false } as const;
    expect(trainChunks(rows, 2, undefined, own)).toEqual([
      {
        indices: [0, 2],
        room: 2,
        part: [rows[0], rows[2]],
        shape: { prompts: 2, tokens: 8, grids: [], samples: 2, length: 32, ...own },
      },
      {
        indices: [1],
        room: 2,
        part: [rows[1]],
        shape: { prompts: 2, tokens: 24, grids: [], samples: 1, length: 16, ...own },
      },
    ]);
  });
});
