import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { readImageFile } from '../../src/io/image.js';
import { decodeMask, readMaskFile } from '../../src/io/mask.js';
import type { Embedding } from '../../src/models/sam2/network.js';
import { paint, stabilityOf } from '../../src/models/sam2/outline.js';
import { normalised, square } from '../../src/models/sam2/processor.js';
import { openSam2 } from '../../src/models/sam2/segmenter.js';
import type { Size } from '../../src/records.js';
import { fixturesFolder, goldenFolder } from './golden.js';
import {
  checkpointFolders,
  clicks,
  furthest,
  goldenSet,
  openCheckpoint,
  promptOf,
  storedEmbedding,
  tokensOf,
  type Checkpoint,
  type Golden,
  type GoldenCase,
  type GoldenImage,
} from './segmenter-cases.js';

/** float32 against float64 moves embeddings by 1.6e-5 and logits by 6.4e-3 at most. */
const EMBEDDING = 1e-4;
const LOGIT = 0.02;
const IOU = 1e-4;
/** A pixel of a mask counts as decided where its logit is further from 0. */
const NEAR = 1e-3;

const sets = [...new Set([join(goldenFolder(), 'segmenter'), join(fixturesFolder(), 'segmenter')])].filter((folder) =>
  existsSync(join(folder, 'cases.json')),
);
for (const folder of sets) {
  const golden = goldenSet(folder);
  const folders = checkpointFolders(golden);
  describe.each([...folders.keys()])(`SAM 2.1 agrees with transformers on ${folder} at %i px`, (size) =>
    agrees(golden, size),
  );
}

function agrees(golden: Golden, size: number): void {
  const images = golden.images.filter((image) => image.size === size);
  const imageOf = ({ image }: GoldenCase): GoldenImage => images.find(({ name }) => name === image) as GoldenImage;
  const cases = golden.cases.filter((one) => one.size === size);
  const embeddings = new Map<string, Embedding>();
  let checkpoint: Checkpoint;
  beforeAll(async () => {
    checkpoint = await openCheckpoint(checkpointFolders(golden).get(size) as { config: string; weights: string });
    for (const { name, tensors } of images)
      embeddings.set(name, await storedEmbedding(await golden.tensors(tensors), checkpoint.config));
  });
  afterAll(() => checkpoint.network.release());

  it.each(images.map((image) => [image.name, image] as const))(
    'in the resized bytes of %s',
    async (_, { file, tensors }) => {
      const { data } = square(await readImageFile(golden.path(file)), checkpoint.config);
      const expected = await (await golden.tensors(tensors)).readBytes('resized_u8');
      expect(furthest(data, interleaved(expected))).toBe(0);
    },
  );

  it.each(images.map((image) => [image.name, image] as const))('in the embedding of %s', async (name, { tensors }) => {
    const stored = await golden.tensors(tensors);
    const pixels = normalised(
      { width: size, height: size, data: interleaved(await stored.readBytes('resized_u8')) },
      checkpoint.config,
    );
    if (stored.has('pixel_values')) expect(furthest(pixels, await stored.read('pixel_values'))).toBeLessThan(1e-6);
    const own = await checkpoint.network.embed(pixels);
    const expected = embeddings.get(name) as Embedding;
    for (const level of ['image', 'fine', 'finest'] as const)
      expect([level, furthest(own[level], expected[level])]).toEqual([
        level,
        expect.toSatisfy((apart: number) => apart < EMBEDDING),
      ]);
  });

  it.each(cases.map((one) => [one.name, one.image, one] as const))(
    'in the answers to %s about %s',
    async (_, image, one) => {
      const stored = await golden.tensors(one.tensors);
      const asked = tokensOf(checkpoint, clicks(one, imageOf(one)));
      const mask = stored.has(`${one.prefix}mask_input`) ? await stored.read(`${one.prefix}mask_input`) : undefined;
      const told = asked.map((tokens) => ({ tokens, ...(mask ? { mask } : {}) }));
      const answers = await checkpoint.network.decode(embeddings.get(image) as Embedding, told);
      const [single, best] = await Promise.all(
        [false, true].map((multimask) =>
          checkpoint.network.answer(embeddings.get(image) as Embedding, told, multimask),
        ),
      );
      const { stability } = checkpoint.config.decoder;
      const [logits, iou, score] = await Promise.all(
        ['all_logits', 'all_iou', 'object_score_logits'].map((key) => stored.read(one.prefix + key)),
      );
      const each = logits.length / asked.length;
      for (const [i, answer] of answers.entries()) {
        // What is hidden from an object beside longer ones must not change its answer.
        const [alone] =
          asked.length > 1
            ? await checkpoint.network.decode(embeddings.get(image) as Embedding, [{ tokens: asked[i] }])
            : [answer];
        expect(furthest(answer.logits, alone.logits)).toBeLessThan(LOGIT);
        if (isPadded(one, i)) continue;
        expect(furthest(answer.logits, logits.subarray(i * each, (i + 1) * each))).toBeLessThan(LOGIT);
        expect(furthest(answer.iou, iou.subarray(4 * i, 4 * i + 4))).toBeLessThan(IOU);
        expect(Math.abs(answer.score - score[i])).toBeLessThan(LOGIT);
        if (stability)
          expect(stabilityOf(logits.subarray(i * each, i * each + each / 4), stability.delta)).toBeCloseTo(
            one.stability[i],
            6,
          );
        const [, ...ious] = iou.subarray(4 * i, 4 * i + 4);
        for (const [chosen, token] of [
          [single[i], one.picked_token[i]],
          [best[i], 1 + ious.indexOf(Math.max(...ious))],
        ] as const) {
          expect([chosen.output, chosen.iou]).toEqual([token, answer.iou[token]]);
          expect(
            furthest(chosen.logits, answer.logits.subarray((token * each) / 4, ((token + 1) * each) / 4)),
          ).toBeLessThan(LOGIT);
        }
      }
      if (one.points?.some((_, i) => isPadded(one, i))) return;
      const frame = frameOf(imageOf(one));
      const bits = new Uint8Array(frame.width * frame.height);
      for (const [i, { logits: own }] of answers.entries())
        paint(own.subarray((one.picked_token[i] * each) / 4, ((one.picked_token[i] + 1) * each) / 4), frame, bits);
      expect(wrong(bits, await expectedMask(golden, one, frame), await pickedLogits(golden, one), frame, NEAR)).toBe(0);
    },
  );

  it('in every mask, from the picture on', async () => {
    const { config, weights } = checkpointFolders(golden).get(size) as { config: string; weights: string };
    const folder = await mkdtemp(join(tmpdir(), 'sam2-'));
    await cp(weights, folder, { recursive: true });
    await cp(config, folder, { recursive: true });
    const segmenter = await openSam2({ checkpoint: folder, threads: 1 });
    for (const image of images) {
      const own = cases.filter(
        (one) =>
          one.image === image.name && one.mask_from === undefined && !one.points?.some((_, i) => isPadded(one, i)),
      );
      const frame = frameOf(image);
      const masks = await segmenter.segment({
        image: await readImageFile(golden.path(image.file)),
        prompts: own.map((one) => promptOf(one, frame)),
        frame,
      });
      for (const [i, one] of own.entries()) {
        expect([
          one.name,
          wrong(
            decodeMask(masks[i]),
            await expectedMask(golden, one, frame),
            await pickedLogits(golden, one),
            frame,
            LOGIT,
          ),
        ]).toEqual([one.name, 0]);
      }
    }
    await segmenter.release();
    await rm(folder, { recursive: true });
  });
}

function frameOf({ original_hw: [height, width] }: GoldenImage): Size {
  return { width, height };
}

/** Pixels, [height × width], 0 and 1. */
async function expectedMask(golden: Golden, { mask }: GoldenCase, frame: Size): Promise<Uint8Array> {
  return decodeMask((await readMaskFile(golden.path(mask), frame)).mask);
}

/** [object][S/4 × S/4]: the logits that made the mask. */
async function pickedLogits(golden: Golden, one: GoldenCase): Promise<Float32Array[]> {
  const logits = await (await golden.tensors(one.tensors)).read(`${one.prefix}all_logits`);
  const each = logits.length / one.picked_token.length / 4;
  return one.picked_token.map((token, i) => logits.subarray((4 * i + token) * each, (4 * i + token + 1) * each));
}

/** Pixels that differ though no object's logit there is nearly 0. */
function wrong(
  bits: Uint8Array,
  expected: Uint8Array,
  logits: readonly Float32Array[],
  frame: Size,
  near: number,
): number {
  return bits.reduce(
    (count, bit, i) =>
      bit !== expected[i] && logits.every((one) => Math.abs(stretched(one, frame, i)) >= near) ? count + 1 : count,
    0,
  );
}

/** A square of logits at one pixel of a frame, as torch's `interpolate` stretches it: bilinear, corners not aligned. */
function stretched(logits: Float32Array, { width, height }: Size, pixel: number): number {
  const side = Math.sqrt(logits.length);
  const place = (i: number, size: number): number => Math.max(0, ((i + 0.5) * side) / size - 0.5);
  const [x, y] = [place(pixel % width, width), place(Math.floor(pixel / width), height)];
  const at = (row: number, column: number): number =>
    logits[Math.min(row, side - 1) * side + Math.min(column, side - 1)];
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const along = (row: number): number => at(row, left) * (1 - x + left) + at(row, left + 1) * (x - left);
  return along(top) * (1 - y + top) + along(top + 1) * (y - top);
}

const isPadded = (one: GoldenCase, i: number): boolean =>
  one.points !== undefined && one.points[i].length < Math.max(...one.points.map(({ length }) => length));

/** [3, place] → [place, 3] */
function interleaved(planes: Uint8Array): Uint8Array {
  const places = planes.length / 3;
  return planes.map((_, i) => planes[(i % 3) * places + Math.floor(i / 3)]);
}
