import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { encodeMask } from '../../../src/io/mask.js';
import { instancesOf, matching } from '../../../src/operators/rewards/matching.js';
import type { Box, Point, Prompt } from '../../../src/records.js';
import { ascii } from '../../ascii.js';

const frame = { width: 840, height: 840 };
const left = { box: [100, 100, 299, 299], x: 200, y: 200 } as const;
const right = { box: [500, 100, 699, 299], x: 600, y: 200 } as const;
const on = (x: number, y: number, label: 0 | 1 = 1): Point => ({ x, y, label });

describe('matching', () => {
  it.each<[string, Prompt | null, number]>([
    ['both, in any order', asking([right.box, left.box], [on(200, 200), on(600, 200)]), 3],
    ['one of two', asking([left.box], [on(200, 200)]), 1.5],
    ['one too many', asking([left.box, right.box, [0, 600, 9, 609]], [on(200, 200), on(600, 200)]), 2],
    ['the same twice', asking([left.box, left.box], [on(200, 200)]), 1.5],
    ['boxes without points', asking([left.box, right.box], []), 2],
    ['edges 10 px off', asking([[110, 110, 309, 309], right.box], [on(200, 200), on(600, 200)]), 2.5],
    ['a point 30 px off', asking([left.box, right.box], [on(230, 200), on(600, 200)]), 2.5],
    ['a point 29 px off', asking([left.box, right.box], [on(229, 200), on(600, 200)]), 3],
    ['background points', asking([left.box, right.box], [on(200, 200, 0), on(600, 200, 0)]), 2],
    ['points alone', { frame, objects: [{ points: [on(200, 200)] }] }, 0],
    ['nothing', null, 0],
  ])('%s', (_, prompt, expected) => expect(matching(prompt, [left, right])).toBeCloseTo(expected, 12));

  it('judges distances by the frame', () => {
    const small = { width: 84, height: 42 };
    const instance = { box: [10, 10, 29, 29], x: 20, y: 20 } as const;
    const prompt = (x: number, y: number): Prompt => ({
      frame: small,
      objects: [{ box: instance.box, points: [on(x, y)] }],
    });
    // 3 of 84 px across are 30 of 840, 1 of 42 px down 20.
    expect(matching(prompt(23, 20), [instance])).toBe(2);
    expect(matching(prompt(22, 20), [instance])).toBe(3);
    expect(matching(prompt(20, 21), [instance])).toBe(3);
    expect(matching(prompt(20, 22), [instance])).toBe(2);
  });

  it('does not depend on the order of boxes', () => {
    const box = fc
      .tuple(fc.constantFrom(left.box, right.box), fc.integer({ min: -15, max: 15 }))
      .map(([[x1, y1, x2, y2], off]): Box => [x1 + off, y1, x2 + off, y2]);
    const shuffled = fc
      .array(box, { minLength: 1, maxLength: 5 })
      .chain((boxes) => fc.tuple(fc.constant(boxes), fc.shuffledSubarray(boxes, { minLength: boxes.length })));
    const earned = (boxes: readonly Box[]): number => matching(asking(boxes, []), [left, right]);
    fc.assert(fc.property(shuffled, ([boxes, others]) => earned(boxes) === earned(others)));
  });

  it('is nothing where there is no object', () => expect(matching(asking([left.box], []), [])).toBe(0));
});

describe('instancesOf', () => {
  it('tells parts apart that touch nowhere, each with its middle', () => {
    const drawing = ascii('###...# ###..#. ###.... .......');
    const truth = encodeMask(drawing.bits, drawing);
    expect(instancesOf(truth)).toEqual([
      { box: [0, 0, 2, 2], x: 1, y: 1 },
      { box: [5, 0, 6, 1], x: 6, y: 0 },
    ]);
  });

  it('leaves out specks, and finds nothing in nothing', () => {
    const bits = new Uint8Array(20 * 20);
    expect(instancesOf(encodeMask(bits, { width: 20, height: 20 }))).toEqual([]);
    bits.fill(1, 0, 200);
    bits[399] = 1;
    expect(instancesOf(encodeMask(bits, { width: 20, height: 20 })).map(({ box }) => box)).toEqual([[0, 0, 19, 9]]);
  });
});

function asking(boxes: readonly Box[], points: readonly Point[]): Prompt {
  return { frame, objects: boxes.map((box) => ({ box, points })) };
}
