import { describe, expect, it } from 'vitest';

import { tokenWeights } from '../../src/objectives/objective.js';

describe('tokenWeights', () => {
  it.each([
    ['token', [2, 6], [1 / 8, 1 / 8]],
    ['sequence', [2, 6], [1 / 4, 1 / 12]],
    ['token', [3, 0, 1], [1 / 4, 0, 1 / 4]],
    ['sequence', [3, 0, 1], [1 / 9, 0, 1 / 3]],
    ['token', [0, 0], [0, 0]],
    ['sequence', [0], [0]],
    ['sequence', [], []],
    [{ tokens: 10 }, [2, 6], [1 / 20, 1 / 20]],
    [{ tokens: 1 }, [3, 0], [1 / 2, 0]],
  ] as const)('of an average by %j of %j', (average, lengths, expected) => {
    expect(tokenWeights(lengths, average)).toEqual(expected);
  });

  it.each(['token', 'sequence'] as const)('sum to 1 over all tokens, averaged by %s', (average) => {
    const lengths = [7, 1, 120, 33, 2, 2];
    const weights = tokenWeights(lengths, average);
    expect(lengths.reduce((sum, length, i) => sum + length * weights[i], 0)).toBeCloseTo(1, 12);
  });
});
