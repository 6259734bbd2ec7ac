import { describe, expect, it } from 'vitest';

import { DataError } from '../../../src/errors.js';
import { defectsOf, legacyReasoning, legacyReferring, pairAnswers } from '../../../src/operators/scoring/protocol.js';

const items = ['a', 'b', 'c'].flatMap((image) => [0, 1, 2, 3].map((n) => ({ image, name: `${image}-${n}` })));

describe('pairAnswers', () => {
  it('asks everything once, tells what is missing and what nobody asked', () => {
    const paired = pairAnswers(
      ['a', 'b'],
      new Map([
        ['b', 1],
        ['x', 2],
      ]),
    );
    expect(paired).toEqual({
      answers: [
        { id: 'a', answer: null },
        { id: 'b', answer: 1 },
      ],
      missing: ['a'],
      strangers: ['x'],
    });
  });

  it('refuses a question asked twice', () => {
    expect(() => pairAnswers(['a', 'a'], new Map())).toThrow(DataError);
  });
});

describe('the released protocols', () => {
  it('referring: one expression of each image, by the seed', () => {
    const drawn = legacyReferring(items, 1);
    expect(drawn.map(({ image }) => image)).toEqual(['a', 'b', 'c']);
    expect(legacyReferring(items, 1)).toEqual(drawn);
    const all = new Set(Array.from({ length: 40 }, (_, seed) => legacyReferring(items, seed)[0]?.name));
    expect(all.size).toBe(4);
  });

  it('reasoning: as many draws as images, some of them twice', () => {
    const draws = Array.from({ length: 40 }, (_, seed) => legacyReasoning(items, seed));
    expect(draws.every((drawn) => drawn.length === 3)).toBe(true);
    expect(draws.some((drawn) => new Set(drawn.map(({ image }) => image)).size < 3)).toBe(true);
    expect(legacyReasoning(items, 7)).toEqual(draws[7]);
  });

  it('names the defects of what was scored, each once', () => {
    expect(defectsOf(['foreground', 'pick', 'referring']).map((defect) => defect.split(':')[0])).toEqual([
      'foreground',
      'referring',
    ]);
    expect(defectsOf(['reason-sentence', 'reason-phrase'])).toHaveLength(3);
  });
});
