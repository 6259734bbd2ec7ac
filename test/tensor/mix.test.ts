import { describe, expect, it } from 'vitest';

import { mixInto } from '../../src/tensor/mix.js';

describe('mixInto', () => {
  it.each([
    [0.25, [1.25, 0.75]],
    [1, [2, 0]],
    [0, [1, 1]],
  ])('goes %d of the way', (share, expected) => {
    const [values, others] = [Float32Array.of(1, 1), Float32Array.of(2, 0)];
    mixInto(values, others, share);
    expect([[...values], [...others]]).toEqual([expected, [2, 0]]);
  });
});
