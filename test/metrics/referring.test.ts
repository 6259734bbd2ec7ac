import { describe, expect, it } from 'vitest';

import {
  conventions,
  referringIou,
  referringScores,
  type Convention,
  type ReferringSample,
} from '../../src/metrics/referring.js';

/** 100 pixels, of which so many are predicted, true, and both. */
function sample(predicted: number, objectPixels: number, hits: number): ReferringSample {
  const whole = { hits, falseAlarms: predicted - hits, objectPixels, pixels: 100 };
  return { whole, heeded: whole };
}
const names = Object.keys(conventions) as Convention[];

describe('referring scores', () => {
  it.each(names)('%s: one IoU of a half, one of a third', (convention) => {
    const scores = referringScores([sample(60, 60, 40), sample(50, 90, 35)], convention);
    expect(scores.gIoU).toBeCloseTo((1 / 2 + 1 / 3) / 2, 5);
    expect(scores.cIoU).toBeCloseTo(75 / (80 + 105), 5);
    expect(scores['T-acc']).toBe(1);
    expect(scores['N-acc']).toBeNaN();
  });

  it.each([
    ['seg_r1', 0],
    ['seg_r1_ignore', 0],
    ['lisa', 1],
    ['gref_any_pixel', 1],
    ['gref_50_pixels', 1],
  ] as const)('%s: a right empty answer earns %i', (convention, earned) =>
    expect(referringIou(sample(0, 0, 0), convention)).toBe(earned),
  );

  it('a mask under 50 pixels is a refusal by one convention alone', () => {
    const small = [sample(49, 60, 49), sample(49, 0, 0)];
    expect(names.map((convention) => referringScores(small, convention)['N-acc'])).toEqual([0, 0, 0, 0, 1]);
    expect(names.map((convention) => referringScores(small, convention)['T-acc'])).toEqual([1, 1, 1, 1, 0]);
    expect(referringScores(small, 'gref_50_pixels').gIoU).toBe(0.5);
  });

  it('a mask where nothing is to be found weighs on cIoU', () => {
    const good = sample(50, 50, 50);
    expect(referringScores([good, sample(0, 0, 0)], 'gref_any_pixel').cIoU).toBe(1);
    expect(referringScores([good, sample(50, 0, 0)], 'gref_any_pixel').cIoU).toBe(0.5);
  });

  it('counts an IoU of exactly the mark, among samples with a target', () => {
    const scores = referringScores([sample(70, 100, 70), sample(50, 100, 50), sample(0, 0, 0)], 'gref_any_pixel');
    expect([scores['Pr@0.5'], scores['Pr@0.6'], scores['Pr@0.7'], scores['Pr@0.8']]).toEqual([1, 0.5, 0.5, 0]);
  });

  it('leaves ignored pixels out only where the convention does', () => {
    const spilling: ReferringSample = {
      whole: { hits: 30, falseAlarms: 30, objectPixels: 30, pixels: 100 },
      heeded: { hits: 30, falseAlarms: 0, objectPixels: 30, pixels: 70 },
    };
    expect(names.map((convention) => Number(referringIou(spilling, convention).toFixed(6)))).toEqual([
      0.5, 1, 1, 0.5, 0.5,
    ]);
  });

  it('refuses an empty set', () => {
    expect(() => referringScores([], 'lisa')).toThrow('at least 1 sample; got 0');
  });
});
