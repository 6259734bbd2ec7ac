import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readImageFile, toGray } from '../../src/io/image.js';
import { listOf } from '../../src/io/prepare/list.js';
import { foregroundItems, type ForegroundSet } from '../../src/io/sets/foreground.js';
import { listedItems } from '../../src/io/sets/listed.js';
import { overlap } from '../../src/metrics/overlap.js';
import {
  foregroundOverSet,
  scoreForeground,
  type Foreground,
  type GrayMap,
} from '../../src/operators/scoring/score-foreground.js';
import { evalFolder, jsonOf } from './eval-sets.js';

type Values = Readonly<Record<string, string | number | null | Readonly<Record<string, number>>>>;
interface Stored {
  readonly images: number;
  readonly per_image: readonly (Values & { readonly image: string })[];
  readonly values: Values;
}

/** Sets by the names that lists give them. */
const known: Readonly<Record<string, readonly [ForegroundSet, string]>> = {
  COD10K: ['cod10k', 'test'],
  'COD10K-TR': ['cod10k', 'train'],
  CAMO: ['camo', 'test'],
  'CAMO-TR': ['camo', 'train'],
  NC4K: ['nc4k', 'test'],
  CHAMELEON: ['chameleon', 'test'],
  'DUTS-TE': ['duts', 'test'],
  'DUTS-TR': ['duts', 'train'],
  'DUT-OMRON': ['dut-omron', 'test'],
  'HKU-IS': ['hku-is', 'test'],
  ECSSD: ['ecssd', 'test'],
  'PASCAL-S': ['pascal-s', 'test'],
};

const folder = evalFolder('foreground') ?? '';
const expected = folder ? jsonOf<Record<string, Stored>>(folder, 'expected.json') : {};
const sets = Object.keys(expected);

describe.runIf(folder)('sets of one object an image (of photos, so only where the full goldens are)', () => {
  it('are there', () => expect(sets.length).toBeGreaterThan(0));

  it.each(sets)('%s: every image, and the set', async (set) => {
    const { images, per_image: each, values } = expected[set];
    const items = listedItems(join(folder, `${set}.jsonl`));
    const got: Foreground[] = [];
    for (const { mask = '' } of items)
      got.push(scoreForeground(await grayOf(join(folder, 'predictions', set, basename(mask))), await grayOf(mask)));

    expect(items.map(({ image }) => basename(image))).toEqual(each.map(({ image }) => image));
    expect(got.flatMap((one, i) => apart(one, each[i] as Values))).toEqual([]);
    expect(got).toHaveLength(images);
    expect(apart(foregroundOverSet(got), values)).toEqual([]);
  });

  it.each(sets.filter((set) => set in known))('%s: its list, from its folders', (set) => {
    const [name, split] = known[set] as [ForegroundSet, string];
    const { lines } = listOf(foregroundItems(name, join(folder, 'datasets'), split), folder);
    expect(`${lines.join('\n')}\n`).toBe(readFileSync(join(folder, `${set}.jsonl`), 'utf8'));
  });

  it.runIf(existsSync(join(folder, 'datasets/DUTS')))('an image without a mask is told, not listed', () => {
    const items = foregroundItems('duts', join(folder, 'datasets'), 'test');
    const { lines, skipped } = listOf(items, folder);
    expect(skipped.map((path) => basename(path))).toEqual(['no_mask_for_this_one.jpg']);
    expect(lines).toHaveLength(items.length - 1);
  });
});

async function grayOf(path: string): Promise<GrayMap> {
  const { width, height, ...image } = await readImageFile(path);
  return { width, height, data: toGray({ width, height, ...image }) };
}

/** Values more than 1e-6 apart, of all that are stored; null is a value that there is not. */
function apart(got: Foreground, stored: Values): string[] {
  const named = ours(got);
  const leaves = Object.entries(stored).flatMap(([name, value]): [string, number | null][] =>
    value !== null && typeof value === 'object'
      ? Object.entries(value).map(([variant, each]) => [`${name}/${variant}`, each])
      : typeof value === 'string'
        ? []
        : [[name, value]],
  );
  return leaves.flatMap(([name, wanted]) => {
    const value = named[name] ?? Infinity;
    const agrees = wanted === null ? Number.isNaN(value) : Math.abs(value - Number(wanted)) < 1e-6;
    return agrees ? [] : [`${name}: expected ${wanted}; got ${value}`];
  });
}

/** Ours by the names that are stored. */
function ours({ values, correctionEffort, half }: Foreground): Record<string, number> {
  const measures = [
    ['iou', 'iou'],
    ['dice', 'dice'],
    ['ber', 'ber'],
    ['precision', 'precision'],
    ['recall', 'recall'],
    ['fbeta', 'fMeasure'],
  ] as const;
  const thresholded = measures.flatMap(([name, own]) => [
    [`${name}/binary`, values[`${own}/binary`]] as const,
    [`${name}/adaptive`, values[`${own}/adaptive`]] as const,
    [`${name}/dynamic_mean`, values[`${own}/mean`]] as const,
    [`${name}/dynamic_max`, values[`${own}/max`]] as const,
  ]);
  return {
    S: values.structure,
    wF: values.weightedF,
    MAE: values.mae,
    F_adp: values['fMeasure/adaptive'],
    F_mean: values['fMeasure/mean'],
    F_max: values['fMeasure/max'],
    E_adp: values['eMeasure/adaptive'],
    E_mean: values['eMeasure/mean'],
    E_max: values['eMeasure/max'],
    mBA: values.boundaryAccuracy,
    BIoU_mean: values['boundaryIou/mean'],
    BIoU_max: values['boundaryIou/max'],
    HCE: correctionEffort,
    iou_pooled: overlap(half),
    ...Object.fromEntries(thresholded),
  };
}
