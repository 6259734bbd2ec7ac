import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readImageFile, toGray } from '../../src/io/image.js';
import { resizeGray } from '../../src/io/resize.js';
import { openSafetensors } from '../../src/io/safetensors.js';
import { correctionEffort } from '../../src/metrics/correction-effort.js';
import { iou } from '../../src/metrics/iou.js';
import { confidences, countLevels, quantised } from '../../src/metrics/level-counts.js';
import { saliency, type Saliency, type SaliencyValue } from '../../src/metrics/saliency.js';
import { overSet } from '../../src/metrics/saliency-set.js';
import { structureMeasure } from '../../src/metrics/structure-measure.js';
import type { Size } from '../../src/records.js';
import { dataFolder, goldenFolder } from './golden.js';

interface Case {
  readonly name: string;
  readonly set: string;
  readonly root: 'data' | 'here';
  readonly pred: string;
  readonly gt: string;
  readonly resize?: 'nearest-cv2' | 'nearest-pil' | 'bilinear-pil' | null;
  readonly values: Values & {
    readonly iou_over_127: number;
    readonly intersection: number;
    readonly union: number;
    readonly reward: { readonly S: number | null } | null;
  };
}

interface Values extends Readonly<
  Record<(typeof thresholded)[number], Readonly<Record<'binary' | 'adaptive' | 'dynamic_mean' | 'dynamic_max', number>>>
> {
  readonly S: number | null;
  readonly wF: number;
  readonly MAE: number;
  readonly F_adp: number;
  readonly F_mean: number;
  readonly F_max: number;
  readonly E_adp: number;
  readonly E_mean: number;
  readonly E_max: number;
  readonly HCE: number;
  readonly mBA: number | null;
  readonly BIoU_mean: number;
  readonly BIoU_max: number;
}

const thresholded = ['iou', 'dice', 'ber', 'precision', 'recall', 'fbeta'] as const;
const curveNames = [
  ['F', 'fMeasure'],
  ['E', 'eMeasure'],
  ['BIoU', 'boundaryIou'],
  ['precision', 'precision'],
  ['recall', 'recall'],
] as const;

const folder = join(goldenFolder(), 'metrics');
interface Stored {
  readonly cases: readonly Case[];
  readonly quantised_levels: Readonly<Record<string, readonly number[]>>;
  readonly data_sets: Readonly<Record<string, Values & { readonly images: number }>>;
}
const {
  cases,
  quantised_levels: levelsByRange,
  data_sets: sets,
}: Stored = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8'));
const readable = cases.filter(({ root }) => root === 'here' || existsSync(dataFolder()));

const curves = await openSafetensors(join(folder, 'curves.safetensors'));

const found: { set: string; got: Saliency }[] = [];

describe('metrics agree with pysodmetrics', () => {
  it.each(readable.map((one) => [one.name, one] as const))('%s', async (name, one) => {
    const { values } = one;
    const { levels, mask, truth, size } = await pairOf(one);
    const got = saliency(levels, mask, size);
    found.push({ set: one.set, got });

    expect(got.values.structure).toBeGreaterThanOrEqual(0);
    expect(got.values.structure).toBeLessThanOrEqual(1 + 1e-12);
    await expectAgreement(got, values, name);
    const confidence = confidences(countLevels(levels, mask));
    expect(
      correctionEffort(
        levels.map((level) => (confidence[level] > 0.5 ? 1 : 0)),
        mask,
        size,
      ),
    ).toBe(values.HCE);
    if (values.reward && values.reward.S !== null) {
      const binary = levels.map((level) => (level > 127 ? 1 : 0));
      expect(Math.abs(structureMeasure(binary, mask, size) - values.reward.S)).toBeLessThan(1e-6);
    }
    expect(
      Math.abs(
        iou(
          levels.map((level) => (level > 127 ? 1 : 0)),
          truth.map((level) => (level > 127 ? 1 : 0)),
        ) - values.iou_over_127,
      ),
    ).toBeLessThan(1e-6);
  });

  // After the images, which it averages; of sets whose photos are all at hand.
  it.runIf(existsSync(dataFolder())).each(Object.entries(sets).filter(([, { images }]) => images > 0))(
    'the set %s',
    async (name, values) => {
      const images = found
        .filter(({ set }) => (name === 'real' ? set !== 'small' : set === name))
        .map(({ got }) => got);
      expect(images).toHaveLength(values.images);
      await expectAgreement(overSet(images), values, `set:${name}`);
    },
  );

  it.each(Object.entries(levelsByRange))('levels stretched from %s', (range, wanted) => {
    const [low, high] = range.split('-').map(Number);
    const present = Uint8Array.from(wanted, (_, i) => low + i);
    expect(present.at(-1)).toBe(high);
    const level = quantised(confidences(countLevels(present, new Uint8Array(present.length))));
    expect([...present].map((stored) => level[stored])).toEqual(wanted);
  });
});

/** Compares every value that the reference has, and every point of its curves. */
async function expectAgreement(got: Saliency, values: Values, name: string): Promise<void> {
  expect(
    differing(
      Object.entries(expectedValues(values)).map(([key, wanted]) => [key, got.values[key as SaliencyValue], wanted]),
    ),
  ).toEqual([]);
  for (const [stored, key] of curveNames) {
    const wanted = await curves.readF64(`${name}/${stored}`);
    expect(differing([...wanted].map((value, i) => [`${key} at ${255 - i}`, got.curves[key][i], value]))).toEqual([]);
  }
}

/** What the reference found, under the names that `saliency` gives. */
function expectedValues(values: Values): Partial<Record<SaliencyValue, number | null>> {
  const named = thresholded.map((metric) => {
    const ours = metric === 'fbeta' ? 'fMeasure' : metric;
    const { binary, adaptive, dynamic_mean: mean, dynamic_max: max } = values[metric];
    return { [`${ours}/binary`]: binary, [`${ours}/adaptive`]: adaptive, [`${ours}/mean`]: mean, [`${ours}/max`]: max };
  });
  return {
    ...Object.assign({}, ...named),
    structure: values.S,
    weightedF: values.wF,
    mae: values.MAE,
    'fMeasure/adaptive': values.F_adp,
    'fMeasure/mean': values.F_mean,
    'fMeasure/max': values.F_max,
    'eMeasure/adaptive': values.E_adp,
    'eMeasure/mean': values.E_mean,
    'eMeasure/max': values.E_max,
    boundaryAccuracy: values.mBA ?? NaN,
    'boundaryIou/mean': values.BIoU_mean,
    'boundaryIou/max': values.BIoU_max,
  };
}

/** Those more than 1e-6 apart; null is the package's NaN for an empty quadrant, which counts nothing here. */
function differing(triples: readonly (readonly [string, number, number | null | undefined])[]): string[] {
  const apart = triples.filter(
    ([, got, wanted]) =>
      wanted !== null && wanted !== undefined && !(Object.is(got, wanted) || Math.abs(got - wanted) < 1e-6),
  );
  return apart.map(([key, got, wanted]) => `${key}: expected ${wanted}; got ${got}`);
}

async function pairOf({
  pred,
  gt,
  root,
  resize,
}: Case): Promise<{ levels: Uint8Array; mask: Uint8Array; truth: Uint8Array; size: Size }> {
  const image = await readImageFile(join(root === 'data' ? dataFolder() : folder, gt));
  const stored = await readImageFile(join(folder, pred));
  const truth = toGray(image);
  return {
    levels: fitted(toGray(stored), stored, image, resize ?? 'nearest-cv2'),
    mask: truth.map((level) => (level > 128 ? 1 : 0)),
    truth,
    size: image,
  };
}

function fitted(levels: Uint8Array, from: Size, to: Size, how: NonNullable<Case['resize']>): Uint8Array {
  if (from.width === to.width && from.height === to.height) return levels;
  if (how === 'bilinear-pil') return resizeGray(levels, from, to, 'bilinear');
  const middle = how === 'nearest-pil' ? 0.5 : 0;
  const source = (at: number, size: number, wanted: number): number =>
    Math.min(size - 1, Math.floor((at + middle) * (size / wanted)));
  return Uint8Array.from({ length: to.width * to.height }, (_, i) => {
    const x = source(i % to.width, from.width, to.width);
    const y = source(Math.floor(i / to.width), from.height, to.height);
    return levels[y * from.width + x];
  });
}
