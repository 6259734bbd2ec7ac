import { expect, it } from 'vitest';

import { tieredOverlap } from '../../../src/operators/rewards/tiered-overlap.js';

// The steps of SAM-R1; what lies on an edge earns the lower one.
it.each([
  [1, 4],
  [0.81, 4],
  [0.8, 3],
  [0.75, 3],
  [0.7, 2],
  [0.6, 2],
  [0.5, 0],
  [0, 0],
])('an IoU of %d earns %i', (iou, expected) => expect(tieredOverlap(iou)).toBe(expected));
