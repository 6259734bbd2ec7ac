import { expect, it } from 'vitest';

import { pointCount } from '../../../src/operators/rewards/point-count.js';
import type { Prompt } from '../../../src/records.js';

// Seg-R1's function, executed at 8, 10 and 4 points; exp(-8) at none.
it.each([
  [8, '1.0000'],
  [10, '0.6065'],
  [4, '0.1353'],
  [0, '0.0003'],
])('%i points earn %s', (count, expected) => {
  expect(pointCount(prompt(count)).toFixed(4)).toBe(expected);
});

it('counts points that boxes share once, and gives nothing for no prompt', () => {
  const [object] = prompt(8).objects;
  expect(pointCount({ ...prompt(8), objects: [object, object] })).toBe(1);
  expect(pointCount(null)).toBe(0);
});

function prompt(count: number): Prompt {
  return {
    frame: { width: 8, height: 8 },
    objects: [{ box: [0, 0, 7, 7], points: Array.from({ length: count }, () => ({ x: 1, y: 1, label: 1 as const })) }],
  };
}
