import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readImageFile, toGray } from '../../src/io/image.js';
import { boxOfMask, decodeMask, encodeMask, fromCocoString, intersectionArea, maskArea, maskIou, toCocoString, unionMasks } from '../../src/io/mask.js';
import type { Mask } from '../../src/records.js';
import { dataFolder, goldenFolder } from './golden.js';

interface Stored {
  readonly name: string;
  readonly size: readonly [height: number, width: number];
  readonly counts: string;
  readonly area: number;
  readonly bbox: readonly [x: number, y: number, width: number, height: number];
  readonly runs?: readonly number[];
}

const folder = join(goldenFolder(), 'masks');
const metrics = join(goldenFolder(), 'metrics');
const stored = readFileSync(join(folder, 'rle.jsonl'), 'utf8').trim().split('\n').map((line): Stored => JSON.parse(line));
const pictures: ReadonlyMap<string, { root: string; gt: string; pred: string }> = new Map(
  JSON.parse(readFileSync(join(metrics, 'cases.json'), 'utf8')).cases.map((one: { name: string }) => [one.name, one]),
);
const readable = stored.filter(({ name }) => existsSync(pictureOf(name)));

describe('masks agree with pycocotools', () => {
  it.each(stored.map((one) => [one.name, one] as const))('%s: text, area, box', (_, one) => {
    const mask = opened(one);
    expect(toCocoString(mask)).toBe(one.counts);
    expect(maskArea(mask)).toBe(one.area);
    expect(boxOfMask(mask)).toEqual(inclusive(one.bbox));
    expect(toCocoString(encodeMask(decodeMask(mask), mask))).toBe(one.counts);
    if (one.runs) expect(mask.counts).toEqual(one.runs);
  });

  it.each(readable.map((one) => [one.name, one] as const))('%s: encoded from its picture', async (_, one) => {
    const image = await readImageFile(pictureOf(one.name));
    expect(toCocoString(encodeMask(toGray(image).map((level) => (level > 128 ? 1 : 0)), image))).toBe(one.counts);
  });
});

const pairs = join(folder, 'pairs.json');
describe.runIf(existsSync(pairs))('pairs of masks agree with pycocotools (of photos, so only where the full goldens are)', () => {
  const named = (name: string): Mask => opened(stored.find((one) => one.name === name) as Stored);
  const read = (): { names: string[]; iou: number[][]; union: Stored & { of: string[] }; intersection: Stored & { of: string[] } } => JSON.parse(readFileSync(pairs, 'utf8'));

  it('IoU', () => {
    const { names, iou } = read();
    const masks = names.map(named);
    masks.forEach((a, i) => masks.forEach((b, j) => expect(maskIou(a, b)).toBeCloseTo(iou[i]?.[j] as number, 12)));
  });

  it('union and intersection', () => {
    const { union, intersection } = read();
    expect(toCocoString(unionMasks(union.of.map(named)))).toBe(union.counts);
    expect(intersectionArea(...(intersection.of.map(named) as [Mask, Mask]))).toBe(intersection.area);
  });
});

function opened({ counts, size: [height, width] }: Stored): Mask {
  return fromCocoString(counts, { width, height });
}

function inclusive([x, y, width, height]: Stored['bbox']): number[] | undefined {
  return width === 0 ? undefined : [x, y, x + width - 1, y + height - 1];
}

function pictureOf(name: string): string {
  if (name.startsWith('extra/')) return join(folder, 'png', `${name.replace('/', '-')}.png`);
  const [one, kind] = name.split('/') as [string, 'gt' | 'pred'];
  const picture = pictures.get(one);
  return join(picture?.root === 'data' && kind === 'gt' ? dataFolder() : metrics, picture?.[kind] ?? name);
}
