import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { unionMasks } from '../../src/io/mask.js';
import type { Segmenter } from '../../src/models/segmenter.js';
import { wires } from './wire.js';
import type { Box, Image, Mask, Point, Prompt, PromptObject } from '../../src/records.js';

const frame = { width: 112, height: 112 };
const discs = { left: { x: 34, y: 60, r: 20 }, right: { x: 86, y: 40, r: 14 } };
const leftBox: Box = [14, 40, 54, 80];
const rightBox: Box = [72, 26, 100, 54];

/**
 * What any segmenter owes its callers.
 *
 * @param open gives a fresh one that may use so many threads.
 * @param sees whether its masks mean something; those of random weights don't, and keep the other laws all the same.
 */
export function behavesAsSegmenter(name: string, open: (threads: number) => Promise<Segmenter>, sees = true): void {
  describe(`${name}, as a segmenter`, () => {
    const image = twoDiscs();
    let segmenter: Segmenter;
    beforeAll(async () => void (segmenter = await open(1)));
    afterAll(() => segmenter.release());
    const ask = async (...objects: PromptObject[]): Promise<Mask> =>
      ((await segmenter.segment({ image, prompts: [prompt(...objects)], frame })) as [Mask])[0];

    if (sees)
      it('finds a bright disc on dark ground by its box', async () => {
        expect(iou(await ask({ box: leftBox, points: [] }), inside('left'))).toBeGreaterThan(0.9);
      });
    it.each(wires)('answers the same where requests and masks cross a wire as %s', async (_, wire) => {
      const request = {
        image,
        prompts: [
          prompt({ box: leftBox, points: [{ x: 34, y: 60, label: 1 }] }),
          prompt({ box: rightBox, points: [] }),
        ],
        frame,
      };
      expect(await wire(request, (it) => segmenter.segment(it))).toEqual(await segmenter.segment(request));
      if (segmenter.inspect)
        expect(await wire(request, (it) => segmenter.inspect!(it))).toEqual(await segmenter.inspect(request));
    });
    it('gives the union of what its objects get alone', async () => {
      const objects: PromptObject[] = [
        { box: leftBox, points: [{ x: 34, y: 60, label: 1 }] },
        { box: rightBox, points: [] },
        { points: [{ x: 86, y: 40, label: 1 }] },
      ];
      const alone = await Promise.all(objects.map((object) => ask(object)));
      expect(await ask(...objects)).toEqual(unionMasks(alone));
      expect(new Set(alone.map(({ counts }) => counts.join())).size).toBe(3);
    });
    it('skips an object that is not one and keeps the others', async () => {
      const nothing: PromptObject[] = [{ box: [200, 200, 240, 240], points: [] }, { points: [] }];
      expect(await ask(nothing[0], { box: leftBox, points: [] }, nothing[1])).toEqual(
        await ask({ box: leftBox, points: [] }),
      );
    });
    if (sees)
      it('unites what two boxes find', async () => {
        const mask = await ask({ box: leftBox, points: [] }, { box: rightBox, points: [] });
        expect(iou(mask, (x, y) => inside('left')(x, y) || inside('right')(x, y))).toBeGreaterThan(0.85);
      });
    it('leaves out points outside of the box', async () => {
      const points: Point[] = [{ x: 34, y: 60, label: 1 }];
      const more: Point[] = [...points, { x: 86, y: 40, label: 1 }, { x: 55, y: 60, label: 0 }];
      expect(await ask({ box: leftBox, points: more })).toEqual(await ask({ box: leftBox, points }));
    });
    it('takes a box with its corners swapped, and one that leaves the frame', async () => {
      expect(await ask({ box: [54, 80, 14, 40], points: [] })).toEqual(await ask({ box: leftBox, points: [] }));
      expect(await ask({ box: [-30, 40, 54, 80], points: [] })).toEqual(
        await ask({ box: [0, 40, 54, 80], points: [] }),
      );
    });
    it.each([
      ['no pixel wide', [30, 30, 30, 80]],
      ['beyond the frame', [200, 200, 240, 240]],
    ] as const)('finds nothing in a box %s', async (_, box) => {
      expect(area(await ask({ box, points: [] }))).toBe(0);
    });
    if (sees)
      it('finds something by points alone', async () => {
        const mask = await ask({ points: [{ x: 34, y: 60, label: 1 }] });
        expect(bits(mask)[60 * frame.width + 34]).toBe(1);
      });
    it('answers at frame size in the order of the prompts', async () => {
      const [left, right, nothing] = (await segmenter.segment({
        image,
        prompts: [prompt({ box: leftBox, points: [] }), prompt({ box: rightBox, points: [] }), prompt()],
        frame: { width: 56, height: 28 },
      })) as [Mask, Mask, Mask];
      const stretched = (disc: keyof typeof discs) => (x: number, y: number) => inside(disc)(2 * x + 0.5, 4 * y + 1.5);
      expect([left.width, left.height]).toEqual([56, 28]);
      expect(area(left)).toBeGreaterThan(0);
      if (sees) expect(iou(left, stretched('left'))).toBeGreaterThan(0.8);
      if (sees) expect(iou(right, stretched('right'))).toBeGreaterThan(0.7);
      expect(area(nothing)).toBe(0);
    });
    it('answers nothing asked with nothing', async () => {
      expect(await segmenter.segment({ image, prompts: [], frame })).toEqual([]);
    });
    it('gives the same masks again, in another order and on two threads', async () => {
      const prompts = [
        prompt({ box: leftBox, points: [] }),
        prompt({ box: [4, 4, 107, 107], points: [{ x: 86, y: 40, label: 1 }] }),
        prompt({ box: rightBox, points: [] }),
      ];
      const once = await segmenter.segment({ image, prompts, frame });
      expect((await segmenter.segment({ image, prompts: prompts.toReversed(), frame })).toReversed()).toEqual(once);
      const pair = await open(2);
      const apart = await Promise.all(prompts.map((one) => pair.segment({ image, prompts: [one], frame })));
      await pair.release();
      expect(apart.flat()).toEqual(once);
      expect(pair.name).toBe(segmenter.name);
    });
    it('finishes what it is at when released, and refuses later calls', async () => {
      const brief = await open(1);
      const running = brief.segment({ image, prompts: [prompt({ box: leftBox, points: [] })], frame });
      await Promise.all([brief.release(), brief.release()]);
      expect(area(((await running) as [Mask])[0])).toBeGreaterThan(0);
      await expect(brief.segment({ image, prompts: [], frame })).rejects.toThrow('released');
    });
  });
}

function prompt(...objects: PromptObject[]): Prompt {
  return { frame, objects };
}

function inside(disc: keyof typeof discs): (x: number, y: number) => boolean {
  const { x: cx, y: cy, r } = discs[disc];
  return (x, y) => (x - cx) ** 2 + (y - cy) ** 2 <= r * r;
}

/** Two bright discs on dark, slightly uneven ground, RGB at twice the frame's size. */
function twoDiscs(): Image {
  const [width, height] = [2 * frame.width, 2 * frame.height];
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const uneven = (x * 7 + y * 13 + x * y) % 11;
      const rgb = inside('left')(x / 2, y / 2)
        ? [230, 190, 60]
        : inside('right')(x / 2, y / 2)
          ? [90, 200, 220]
          : [30, 34, 40];
      data.set(
        rgb.map((value) => value + uneven),
        (y * width + x) * 3,
      );
    }
  }
  return { width, height, data };
}

/** Row by row; written apart from the codecs under test elsewhere. */
function bits({ width, height, counts }: Mask): Uint8Array {
  const out = new Uint8Array(width * height);
  let at = 0;
  counts.forEach((count, i) => {
    for (const end = at + count; at < end; at++) out[(at % height) * width + Math.floor(at / height)] = i % 2;
  });
  expect(at).toBe(out.length);
  return out;
}

function area(mask: Mask): number {
  return bits(mask).reduce((sum, bit) => sum + bit, 0);
}

function iou(mask: Mask, truth: (x: number, y: number) => boolean): number {
  let [both, either] = [0, 0];
  bits(mask).forEach((bit, i) => {
    const there = truth(i % mask.width, Math.floor(i / mask.width));
    if (bit && there) both++;
    if (bit || there) either++;
  });
  return both / either;
}
