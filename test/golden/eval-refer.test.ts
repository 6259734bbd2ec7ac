import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import type { Pair } from '../../src/io/dataset.js';
import { fromCocoString, maskArea } from '../../src/io/mask.js';
import { imageSize } from '../../src/io/image.js';
import { readPickle } from '../../src/io/pickle.js';
import { referItems, type ReferSet } from '../../src/io/sets/refer.js';
import { readTruth } from '../../src/io/truth.js';
import { pairAnswers } from '../../src/operators/scoring/protocol.js';
import { scoreReferring, type Answer } from '../../src/operators/scoring/score-referring.js';
import type { Mask } from '../../src/records.js';
import { differing, evalFolder, jsonOf, linesOf, namesIn, scoresOf } from './eval-sets.js';

interface Prediction {
  readonly ref_id: number;
  readonly sent_id: number;
  readonly size: readonly [number, number];
  readonly counts: string;
}
interface Stored {
  readonly [set: string]: Readonly<
    Record<string, Readonly<Record<string, unknown>> & { readonly expressions: number }>
  >;
}
interface Areas {
  readonly gt_area: Readonly<Record<string, number>>;
  readonly gref_gt_area: Readonly<Record<string, number>>;
}

const folder = evalFolder('refer') ?? '';
const expected = folder ? jsonOf<Stored & Areas>(folder, 'expected.json') : ({} as Stored & Areas);
const sets = namesIn(folder, 'Refer_Segm').filter((name) =>
  existsSync(join(folder, 'Refer_Segm', name, 'instances.json')),
) as ReferSet[];
const scored = sets.filter((set) => set in expected);
const splits = scored.flatMap((set) => Object.keys(expected[set] ?? {}).map((split) => [set, split] as const));
const FIRST = ' first expression of each image';

const predictions = new Map(
  scored.map((set) => [
    set,
    new Map(
      linesOf<Prediction>(folder, `predictions-${set}.jsonl`).map((one) => [
        `${one.ref_id}-${one.sent_id}`,
        maskOf(one),
      ]),
    ),
  ]),
);

describe.runIf(folder)('referring sets (of photos, so only where the full goldens are)', () => {
  it('are there', () => expect(splits.length).toBeGreaterThan(0));

  it.each(splits)('%s, %s: every expression once', async (set, split) => {
    const all = referItems(set, folder, split.replace(FIRST, ''));
    const items = split.endsWith(FIRST) ? firstOfEach(all) : all;
    const { answers, missing } = pairAnswers(
      items.map(({ name }) => name),
      predictions.get(set) as ReadonlyMap<string, Mask>,
    );
    const { sets: scores, items: each } = scoreReferring(await answered(items, answers));
    expect(missing).toEqual([]);
    expect(each).toHaveLength(expected[set]?.[split]?.expressions);
    expect(differing(scoresOf(expected[set]?.[split] ?? {}), scores)).toEqual([]);
  });

  it.each(sets)('%s: the same from both of its files', (set) => {
    const base = join(folder, 'Refer_Segm', set);
    const [pickle, json] = ['.p', '.json'].map((ext) =>
      namesIn(base).find((name) => name.endsWith(ext) && name.includes('refs(')),
    ) as [string, string];
    expect(readPickle(readFileSync(join(base, pickle)), pickle)).toEqual(jsonOf(base, json));
  });

  it.each([
    ['refcoco', 'gt_area'],
    ['grefcoco', 'gref_gt_area'],
  ] as const)('%s: areas of what is meant', async (set, key) => {
    const items = [...new Set(Object.keys(expected[set] ?? {}).map((split) => split.replace(FIRST, '')))].flatMap(
      (split) => referItems(set, folder, split),
    );
    const areas = new Map<string, number>();
    for (const item of items) areas.set(item.name.split('-')[0], maskArea(await truthOf(item)));
    expect(Object.fromEntries(areas)).toEqual(expected[key]);
  });

  it.each(namesIn(folder, 'pickle-variants'))('%s', (file) => {
    const variant = readPickle(readFileSync(join(folder, 'pickle-variants', file)), file);
    expect(variant).toEqual(jsonOf(folder, 'Refer_Segm', 'refcoco', 'refs(unc).json'));
  });
});

async function answered(
  items: readonly Pair[],
  answers: readonly { id: string; answer: Mask | null }[],
): Promise<Answer[]> {
  const truths = await Promise.all(items.map(truthOf));
  return answers.map(({ id, answer }, i) => ({ id, predicted: answer, truth: truths[i] }));
}

async function truthOf({ image, mask }: Pair): Promise<Mask> {
  const size = await imageSize(image);
  return (await readTruth(mask ?? '', size, size)).mask;
}

function firstOfEach(items: readonly Pair[]): Pair[] {
  return items.filter(({ image }, i) => items.findIndex((other) => other.image === image) === i);
}

function maskOf({ size: [height, width], counts }: Prediction): Mask {
  return fromCocoString(counts, { width, height });
}
