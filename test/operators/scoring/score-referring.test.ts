import { describe, expect, it } from 'vitest';

import { DataError } from '../../../src/errors.js';
import { encodeMask } from '../../../src/io/mask.js';
import { scoreReferring } from '../../../src/operators/scoring/score-referring.js';
import type { Mask } from '../../../src/records.js';
import { ascii } from '../../ascii.js';

function drawn(drawing: string): Mask {
  const { bits, width, height } = ascii(drawing);
  return encodeMask(bits, { width, height });
}

const truth = drawn('##.. ##..');

describe('scoreReferring', () => {
  it('gives each item by every convention, and the set', () => {
    const { items, sets, missing } = scoreReferring([
      { id: 'half', predicted: drawn('#... #...'), truth },
      { id: 'all', predicted: truth, truth },
    ]);
    expect(items.map(({ id, iou, dice }) => [id, Number(iou.seg_r1.toFixed(9)), dice])).toEqual([
      ['half', 0.5, 2 / 3],
      ['all', 1, 1],
    ]);
    expect(sets.gref_any_pixel).toMatchObject({ gIoU: 0.75, cIoU: 6 / 8, 'T-acc': 1, 'Pr@0.5': 1, 'Pr@0.6': 0.5 });
    expect(missing).toBe(0);
  });

  it('counts what has no answer as an empty mask', () => {
    const { items, sets, missing } = scoreReferring([
      { id: 'a', predicted: null, truth },
      { id: 'b', predicted: truth, truth },
    ]);
    expect(items.map(({ missing: lacking, iou }) => [lacking, iou.gref_any_pixel])).toEqual([
      [true, 0],
      [false, 1],
    ]);
    expect([sets.lisa.gIoU.toFixed(4), sets.lisa.cIoU.toFixed(4), missing]).toEqual(['0.5000', '0.5000', 1]);
  });

  it('leaves ignored pixels out where the convention does', () => {
    const { items } = scoreReferring([{ id: 'a', predicted: drawn('#### ####'), truth, ignore: drawn('..## ..##') }]);
    expect([items[0]?.iou.seg_r1, items[0]?.iou.seg_r1_ignore].map((value) => value?.toFixed(6))).toEqual([
      '0.500000',
      '1.000000',
    ]);
  });

  it('stretches an answer of another size', () => {
    const { items } = scoreReferring([{ id: 'a', predicted: drawn('#.'), truth }]);
    expect(items[0]?.iou.gref_any_pixel).toBe(1);
  });

  it('refuses an ignored region of another size', () => {
    expect(() => scoreReferring([{ id: 'a', predicted: truth, truth, ignore: drawn('#') }])).toThrow(DataError);
  });
});
