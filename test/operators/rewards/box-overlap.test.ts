import { expect, it } from 'vitest';

import { encodeMask } from '../../../src/io/mask.js';
import { boxOverlap } from '../../../src/operators/rewards/box-overlap.js';
import type { Box } from '../../../src/records.js';
import { ascii } from '../../ascii.js';

const size = { width: 4, height: 4 };
// The box around it is [1, 1, 2, 3], six pixels.
const truth = encodeMask(ascii('.... .#.. .... ..#.').bits, size);

it.each<[string, readonly Box[], number]>([
  ["the truth's own", [[1, 1, 2, 3]], 1],
  ['the whole frame', [[0, 0, 3, 3]], 6 / 16],
  [
    'two that it holds together',
    [
      [1, 1, 1, 1],
      [2, 3, 2, 3],
    ],
    1,
  ],
  ['apart', [[0, 0, 0, 0]], 0],
  ['corners in the wrong order, alone', [[2, 3, 1, 1]], 0],
  [
    'corners in the wrong order, beside a good one',
    [
      [3, 3, 0, 0],
      [1, 1, 2, 3],
    ],
    1,
  ],
])('%s', (_, boxes, expected) => {
  expect(boxOverlap({ frame: size, objects: boxes.map((box) => ({ box, points: [] })) }, truth)).toBeCloseTo(
    expected,
    12,
  );
});

it('is 0 without a prompt, a box, or a truth', () => {
  expect(boxOverlap(null, truth)).toBe(0);
  expect(boxOverlap({ frame: size, objects: [{ points: [{ x: 1, y: 1, label: 1 }] }] }, truth)).toBe(0);
  expect(
    boxOverlap({ frame: size, objects: [{ box: [0, 0, 3, 3], points: [] }] }, encodeMask(new Uint8Array(16), size)),
  ).toBe(0);
});
