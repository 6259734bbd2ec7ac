import { describe, expect, it } from 'vitest';

import { resizeNearest } from '../../src/io/resize-nearest.js';

const row = (width: number) => Uint8Array.from({ length: width }, (_, i) => i);

describe('resizeNearest', () => {
  // opencv 4.14.0: cv2.resize(np.arange(n, dtype=np.uint8)[None], (m, 1), interpolation=cv2.INTER_NEAREST)
  it.each([
    [7, 10, [0, 0, 1, 2, 2, 3, 4, 4, 5, 6]],
    [96, 10, [0, 9, 19, 28, 38, 48, 57, 67, 76, 86]],
  ])('takes of %i levels %i as opencv does', (from, to, wanted) => {
    expect([...resizeNearest(row(from), { width: from, height: 1 }, { width: to, height: 1 })]).toEqual(wanted);
    expect([...resizeNearest(row(from), { width: 1, height: from }, { width: 1, height: to })]).toEqual(wanted);
  });

  it('keeps what has the size already', () => {
    expect(resizeNearest(row(12), { width: 4, height: 3 }, { width: 4, height: 3 })).toEqual(row(12));
  });

  it('refuses levels that do not fill their size', () => {
    expect(() => resizeNearest(row(11), { width: 4, height: 3 }, { width: 2, height: 2 })).toThrow(
      'expected 4x3 = 12 levels; got 11',
    );
  });
});
