import { describe, expect, it } from 'vitest';

import { emptyMask, encodeMask } from '../../../src/io/mask.js';
import { RewardOptions } from '../../../src/operators/rewards/options.js';
import { builtInRewards, maskRewards, type Judged } from '../../../src/operators/rewards/parts.js';
import type { Mask, Size } from '../../../src/records.js';

const small = { width: 48, height: 64 };
const large = { width: 768, height: 768 };
const truth = disc(20, 30, 225);
const predicted = disc(24, 28, 196);

describe('maskRewards', () => {
  // Seg-R1's own functions, executed: IoU, S-measure, and 0.7 of the one + 0.3 of the other as meant and as released.
  it.each([
    [
      'a shifted rectangle',
      rectangle(240, 210, 579, 519),
      rectangle(250, 200, 599, 499),
      0.83435,
      0.902519,
      0.854801,
      0.830436,
    ],
    ['a shifted disc', predicted, truth, 0.664987, 0.789261, 0.70227, 0.705628],
    ['nothing', emptyMask(small), truth, 0, 0.384603, 0.115381, 0.3],
    ['everything', { ...small, counts: [0, 48 * 64] }, truth, 0.230794, 0.115397, 0.196175, 0.161556],
    ['the truth', truth, truth, 1, 1, 1, 0.930762],
    ['a disc where there is nothing', predicted, emptyMask(small), 0, 0.800456, 0.240137, 0.240137],
  ])("agrees with Seg-R1's functions on %s", (_, mask, gt, iou, structure, meant, released) => {
    const parts = maskRewards(judged([mask], gt));
    expect(parts.iou[0]).toBeCloseTo(iou, 6);
    expect(parts.structure[0]).toBeCloseTo(structure, 6);
    expect(mixed(parts)).toBeCloseTo(meant, 6);
    expect(mixed(maskRewards(judged([mask], gt), { structure: true }))).toBeCloseTo(released, 6);
  });

  it.each([false, true])('gives no mask 0, and no truth NaN; legacy %s', (structure) => {
    const none = emptyMask(small);
    expect(maskRewards(judged([null, none], none, [0, 1]), { structure })).toEqual({
      format: [0, 1],
      iou: [0, 0],
      structure: [0, 1],
    });
    expect(maskRewards(judged([null, truth], undefined, [0, 1]), { structure })).toEqual({
      format: [0, 1],
      iou: [NaN, NaN],
      structure: [NaN, NaN],
    });
  });
});

describe('builtInRewards', () => {
  const others = { pointCount: 1, length: 1, boxIoU: 1, noTarget: 1, matching: 1, tieredIoU: 1 };
  const options = RewardOptions.parse({ weights: others, length: { max: 10, cache: 5 } });

  it('computes three parts by default', () => {
    expect(Object.keys(builtInRewards(judged([truth], truth), RewardOptions.parse({})))).toEqual([
      'format',
      'iou',
      'structure',
    ]);
    expect(
      Object.keys(builtInRewards(judged([truth], truth), RewardOptions.parse({ weights: { boxIoU: 0, iou: 0 } }))),
    ).toEqual(['format', 'iou', 'structure']);
  });

  it('gives each part a number a completion', () => {
    // The truth's own box, with one point on its middle; seven tokens: 2/5 of the way from 5 to 10.
    const box = [5, 15, 35, 45] as const;
    const prompts = [{ frame: small, objects: [{ box, points: [{ x: 20, y: 30, label: 1 as const }] }] }, null];
    const completions = [7, 0].map((count) => ({
      text: '',
      tokens: Array.from({ length: count }, () => 1),
      logProbs: [],
      finish: 'stop' as const,
    }));
    const parts = builtInRewards({ ...judged([truth, null], truth), prompts, completions }, options);
    expect(parts).toEqual({
      format: [1, 1],
      iou: [1, 0],
      structure: [expect.closeTo(1, 12), 0],
      pointCount: [Math.exp(-49 / 8), 0],
      length: [-0.4, 0],
      boxIoU: [1, 0],
      noTarget: [0, 0],
      matching: [3, 0],
      tieredIoU: [4, 0],
    });
  });

  it('needs a truth for what compares with it, and texts for their length', () => {
    const parts = builtInRewards(judged([truth], undefined), options);
    expect(parts).toMatchObject({ pointCount: [0], boxIoU: [NaN], noTarget: [NaN], matching: [NaN], tieredIoU: [NaN] });
    expect(parts).not.toHaveProperty('length');
  });
});

function mixed({ iou, structure }: Readonly<Record<'iou' | 'structure', readonly number[]>>): number {
  return 0.7 * iou[0] + 0.3 * structure[0];
}

function judged(
  masks: readonly (Mask | null)[],
  gt: Mask | undefined,
  formats: readonly number[] = masks.map(() => 1),
): Judged {
  return { masks, formats, prompts: masks.map(() => null), ...(gt && { truth: gt }) };
}

/** Pixels within the square root of `reach` of (x, y). */
function disc(x: number, y: number, reach: number): Mask {
  return drawn(small, (u, v) => (u - x) ** 2 + (v - y) ** 2 <= reach);
}

function rectangle(x1: number, y1: number, x2: number, y2: number): Mask {
  return drawn(large, (x, y) => x >= x1 && x <= x2 && y >= y1 && y <= y2);
}

function drawn(size: Size, inside: (x: number, y: number) => boolean): Mask {
  return encodeMask(
    Uint8Array.from({ length: size.width * size.height }, (_, i) =>
      inside(i % size.width, Math.floor(i / size.width)) ? 1 : 0,
    ),
    size,
  );
}
