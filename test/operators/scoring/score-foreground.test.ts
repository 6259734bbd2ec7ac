import { describe, expect, it } from 'vitest';

import { overlap } from '../../../src/metrics/overlap.js';
import { foregroundOverSet, scoreForeground, type GrayMap } from '../../../src/operators/scoring/score-foreground.js';
import { ascii } from '../../ascii.js';

function drawn(drawing: string): GrayMap {
  const { bits, width, height } = ascii(drawing);
  return { width, height, data: bits.map((bit) => bit * 255) };
}

const truth = drawn('........ ..####.. ..####.. ..####.. ........ ........');

describe('scoreForeground', () => {
  it('a right answer is perfect, and needs no correction', () => {
    const { values, correctionEffort, half } = scoreForeground(truth, truth);
    expect([
      values.structure.toFixed(6),
      values.mae,
      values['fMeasure/binary'].toFixed(6),
      correctionEffort,
      overlap(half),
    ]).toEqual(['1.000000', 0, '1.000000', 0, 1]);
  });

  it('no answer is an empty mask', () => {
    const empty = { ...truth, data: new Uint8Array(truth.data.length) };
    expect(scoreForeground(null, truth)).toEqual(scoreForeground(empty, truth));
    expect(scoreForeground(null, truth).values['iou/binary']).toBe(0);
  });

  it('an answer of another size is brought to the truth’s', () => {
    const small = drawn('.... .##. ....');
    expect(overlap(scoreForeground(small, truth).half)).toBeCloseTo(8 / 12, 12);
  });

  it('of a set, counts are summed and the rest is averaged', () => {
    const set = foregroundOverSet([scoreForeground(truth, truth), scoreForeground(null, truth)]);
    expect([overlap(set.half), set.values['iou/binary'], set.values.mae]).toEqual([0.5, 0.5, 12 / 48 / 2]);
  });

  it('refuses a map that does not fill its size', () => {
    expect(() => scoreForeground({ width: 3, height: 3, data: new Uint8Array(8) }, truth)).toThrow(
      'expected 3x3 = 9 levels; got 8',
    );
  });
});
