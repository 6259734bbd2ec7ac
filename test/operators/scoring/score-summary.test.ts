import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { overlap } from '../../../src/metrics/overlap.js';
import { conventions, referringScores, type Convention, type ReferringSample } from '../../../src/metrics/referring.js';
import { foregroundOverSet, scoreForeground, type GrayMap } from '../../../src/operators/scoring/score-foreground.js';
import { itemValues, scoreNames, summarised, type ScoredItem } from '../../../src/operators/scoring/score-summary.js';

const size = { width: 8, height: 6 };
const levels = fc.uint8Array({ minLength: 48, maxLength: 48 });
const map = (data: Uint8Array): GrayMap => ({ ...size, data });
const blob = (x: number): GrayMap =>
  map(Uint8Array.from({ length: 48 }, (_, i) => (i % 8 >= x && i % 8 < x + 3 && i > 8 && i < 40 ? 255 : 0)));

const item = (id: string, judged: ScoredItem['judged'], unit = id): ScoredItem => ({
  id,
  set: 'drawn',
  unit,
  judged,
  answer: { 'answer/unparsed': 0 },
});

describe('summarised', () => {
  it('gives a foreground set the numbers that the public evaluation gives it', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(levels, fc.nat(5)), { minLength: 1, maxLength: 4 }), (drawn) => {
        const images = drawn.map(([data, x]) => scoreForeground(map(data), blob(x)));
        const expected = foregroundOverSet(images);
        const [set] = summarised(
          images.map((foreground, i) => item(String(i), { kind: 'foreground', foreground })),
          1,
        );
        for (const [name, value] of Object.entries(expected.values))
          expect(set.metrics[name].value, name).toBeCloseTo(value, 10);
        expect(set.metrics['correctionEffort'].value).toBeCloseTo(expected.correctionEffort, 10);
        expect(set.metrics['half/cIoU'].value).toBeCloseTo(overlap(expected.half), 10);
      }),
      { numRuns: 5 },
    );
  });

  it('gives expressions the numbers of every convention', () => {
    const sample = fc
      .tuple(fc.nat(60), fc.nat(60), fc.nat(60), fc.nat(40))
      .map(([hits, falseAlarms, missed, less]): ReferringSample => {
        const whole = { hits, falseAlarms, objectPixels: hits + missed, pixels: 1000 };
        return { whole, heeded: { ...whole, falseAlarms: Math.max(0, falseAlarms - less) } };
      });
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 12 }), (samples) => {
        const [set] = summarised(
          samples.map((one, i) => item(String(i), { kind: 'referring', sample: one })),
          1,
        );
        for (const convention of Object.keys(conventions) as Convention[]) {
          const { gIoU, cIoU, ...shares } = referringScores(samples, convention);
          expect(set.metrics[`${convention}/iou`].value).toBeCloseTo(gIoU, 10);
          expect(set.metrics[`${convention}/cIoU`].value).toBeCloseTo(cIoU, 8);
          for (const [name, value] of Object.entries(shares))
            expect(Math.abs((set.metrics[`${convention}/${name}`].value || 0) - (value || 0)), name).toBeLessThan(
              1e-10,
            );
        }
      }),
      { numRuns: 8 },
    );
  });

  it('keeps sets and kinds apart, and counts images', () => {
    const sample = {
      whole: { hits: 1, falseAlarms: 0, objectPixels: 1, pixels: 4 },
      heeded: { hits: 1, falseAlarms: 0, objectPixels: 1, pixels: 4 },
    };
    const asked = ['a', 'b'].map((id) => item(id, { kind: 'referring', sample }, 'one.jpg'));
    const seen = item('c', { kind: 'foreground', foreground: scoreForeground(blob(1), blob(1)) });
    const sets = summarised([...asked, seen, { ...seen, set: 'other' }], 1);
    expect(sets.map(({ set, kind, n, units }) => [set, kind, n, units])).toEqual([
      ['drawn', 'referring', 2, 1],
      ['drawn', 'foreground', 1, 1],
      ['other', 'foreground', 1, 1],
    ]);
    expect(sets[0].metrics['lisa/N-acc']).toEqual({ value: NaN, low: NaN, high: NaN, n: 0 });
    expect(sets[0].metrics['answer/unparsed']).toEqual({ value: 0, low: 0, high: 0, n: 2 });
  });
});

describe('itemValues', () => {
  it('has the names that a column is made for', () => {
    const foreground = itemValues({ kind: 'foreground', foreground: scoreForeground(blob(1), blob(2)) });
    const sample = {
      whole: { hits: 3, falseAlarms: 1, objectPixels: 4, pixels: 9 },
      heeded: { hits: 3, falseAlarms: 0, objectPixels: 4, pixels: 8 },
    };
    const referring = itemValues({ kind: 'referring', sample });
    expect([...Object.keys(foreground), ...Object.keys(referring)]).toEqual(scoreNames);
    expect(referring).toMatchObject({ 'seg_r1/intersection': 3, 'seg_r1/union': 5, 'lisa/union': 4, dice: 0.75 });
  });
});
