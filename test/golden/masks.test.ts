import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readImageFile, toGray } from '../../src/io/image.js';
import {
  boxOfMask,
  decodeMask,
  encodeMask,
  fromCocoString,
  intersectionArea,
  maskArea,
  maskIou,
  subtractMask,
  toCocoString,
  unionMasks,
} from '../../src/io/mask.js';
import { maskOfPolygon } from '../../src/io/polygon-coco.js';
import { reasonMasks, type ReasonShape } from '../../src/io/reason-truth.js';
import { boxIou } from '../../src/metrics/box.js';
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
const stored = readFileSync(join(folder, 'rle.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line): Stored => JSON.parse(line));
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
    expect(
      toCocoString(
        encodeMask(
          toGray(image).map((level) => (level > 128 ? 1 : 0)),
          image,
        ),
      ),
    ).toBe(one.counts);
  });
});

interface Pairs {
  readonly names: readonly string[];
  readonly iou: readonly (readonly number[])[];
  readonly iou_crowd: readonly (readonly number[])[];
  readonly union: Stored & { readonly of: readonly string[] };
  readonly intersection: Stored & { readonly of: readonly string[] };
  readonly boxes: { readonly xywh: readonly Stored['bbox'][]; readonly iou: readonly (readonly number[])[] };
}

const pairs = join(folder, 'pairs.json');
describe.runIf(existsSync(pairs))(
  'pairs of masks agree with pycocotools (of photos, so only where the full goldens are)',
  () => {
    const named = (name: string): Mask => opened(stored.find((one) => one.name === name) as Stored);
    const read = (): Pairs => JSON.parse(readFileSync(pairs, 'utf8'));

    it('IoU, and the share of one mask that lies in the other', () => {
      const { names, iou, iou_crowd: covered } = read();
      const masks = names.map(named);
      masks.forEach((a, i) =>
        masks.forEach((b, j) => {
          expect(maskIou(a, b)).toBeCloseTo(iou[i]?.[j], 12);
          if (maskArea(a) > 0) expect(intersectionArea(a, b) / maskArea(a)).toBeCloseTo(covered[i]?.[j], 12);
        }),
      );
    });

    it('union and intersection, byte by byte', () => {
      const { union, intersection } = read();
      expect(toCocoString(unionMasks(union.of.map(named)))).toBe(union.counts);
      // What two have in common is what is left of one without the rest of it.
      expect(toCocoString(intersection.of.map(named).reduce((a, b) => subtractMask(a, subtractMask(a, b))))).toBe(
        intersection.counts,
      );
      expect(intersectionArea(...(intersection.of.map(named) as [Mask, Mask]))).toBe(intersection.area);
    });

    it('IoU of boxes', () => {
      const { xywh, iou } = read().boxes;
      const boxes = xywh.map((box) => inclusive(box) as [number, number, number, number]);
      boxes.forEach((a, i) => boxes.forEach((b, j) => expect(boxIou(a, b)).toBeCloseTo(iou[i]?.[j], 12)));
    });
  },
);

interface StoredPolygons extends Stored {
  readonly polygons: readonly (readonly number[])[];
  readonly parts_area?: readonly number[];
}

describe('polygons agree with pycocotools', () => {
  it.each(linesOf<StoredPolygons>('polygons.jsonl').map((one) => [one.name, one] as const))('%s', (_, one) => {
    const [height, width] = one.size;
    const parts = one.polygons.map((flat) => maskOfPolygon(flat, { width, height }));
    const union = unionMasks(parts);
    expect(toCocoString(union)).toBe(one.counts);
    expect(boxOfMask(union)).toEqual(inclusive(one.bbox));
    if (one.parts_area) expect(parts.map(maskArea)).toEqual(one.parts_area);
  });
});

interface StoredShapes {
  readonly name: string;
  readonly size: Stored['size'];
  readonly shapes: readonly ReasonShape[];
  readonly png: string;
  readonly target_pixels: number;
  readonly ignore_pixels: number;
  readonly areas: readonly number[];
}

describe.runIf(existsSync(join(folder, 'reason-polygons.jsonl')))(
  'shapes agree with ReasonSeg (of photos, so only where the full goldens are)',
  () => {
    it.each(linesOf<StoredShapes>('reason-polygons.jsonl').map((one) => [one.name, one] as const))(
      '%s',
      async (_, one) => {
        const [height, width] = one.size;
        const { truth, ignore } = reasonMasks(one.shapes, { width, height });
        expect([maskArea(truth), maskArea(ignore)]).toEqual([one.target_pixels, one.ignore_pixels]);

        const picture = toGray(await readImageFile(join(folder, one.png)));
        expect(toCocoString(truth)).toBe(
          toCocoString(
            encodeMask(
              picture.map((level) => (level === 1 ? 1 : 0)),
              { width, height },
            ),
          ),
        );
        expect(toCocoString(ignore)).toBe(
          toCocoString(
            encodeMask(
              picture.map((level) => (level === 255 ? 1 : 0)),
              { width, height },
            ),
          ),
        );

        const alone = one.shapes
          .map((shape) => reasonMasks([shape], { width, height }))
          .map((each) => maskArea(each.truth) + maskArea(each.ignore));
        expect(alone.filter((area) => area > 0)).toEqual(one.areas.filter((area) => area > 0));
      },
    );
  },
);

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

function linesOf<T>(file: string): T[] {
  const path = join(folder, file);
  return existsSync(path)
    ? readFileSync(path, 'utf8')
        .trim()
        .split('\n')
        .map((line): T => JSON.parse(line))
    : [];
}
