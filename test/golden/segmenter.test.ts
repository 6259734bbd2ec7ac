import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { readImageFile } from '../../src/io/image.js';
import { decodeMask, readMaskFile } from '../../src/io/mask.js';
import type { Embedding } from '../../src/models/sam2/network.js';
import { paint, picked, stabilityOf } from '../../src/models/sam2/outline.js';
import { normalised, square } from '../../src/models/sam2/processor.js';
import { openSam2 } from '../../src/models/sam2/segmenter.js';
import type { Mask } from '../../src/records.js';
import { fixturesFolder, goldenFolder } from './golden.js';
import { checkpointFolders, clicks, furthest, goldenSet, inside, openCheckpoint, promptOf, storedEmbedding, tokensOf, type Checkpoint, type Golden, type GoldenCase, type GoldenImage } from './segmenter-cases.js';

/** float32 against float64 moves embeddings by 1.6e-5 and logits by 6.4e-3 at most. */
const EMBEDDING = 1e-4;
const LOGIT = 0.02;
const IOU = 1e-4;
/** A pixel of a mask counts as decided where its logit is further from 0. */
const NEAR = 1e-3;

for (const folder of new Set([join(goldenFolder(), 'segmenter'), join(fixturesFolder(), 'segmenter')])) {
  const golden = goldenSet(folder);
  const folders = checkpointFolders(golden);
  describe.each([...folders.keys()])(`SAM 2.1 agrees with transformers on ${folder} at %i px`, (size) => agrees(golden, size));
}

function agrees(golden: Golden, size: number): void {
  const images = golden.images.filter((image) => image.size === size);
  const imageOf = ({ image }: GoldenCase): GoldenImage => images.find(({ name }) => name === image) as GoldenImage;
  const cases = golden.cases.filter((one) => one.size === size);
  const embeddings = new Map<string, Embedding>();
  let checkpoint: Checkpoint;
  beforeAll(async () => {
    checkpoint = await openCheckpoint(checkpointFolders(golden).get(size) as { config: string; weights: string });
    for (const { name, tensors } of images) embeddings.set(name, await storedEmbedding(await golden.tensors(tensors), checkpoint.config));
  });
  afterAll(() => checkpoint.network.release());

  it.each(images.map((image) => [image.name, image] as const))('in the resized bytes of %s', async (_, { file, tensors }) => {
    const { data } = square(await readImageFile(golden.path(file)), checkpoint.config);
    const expected = await (await golden.tensors(tensors)).readBytes('resized_u8');
    expect(furthest(data, interleaved(expected))).toBe(0);
  });

  it.each(images.map((image) => [image.name, image] as const))('in the embedding of %s', async (name, { tensors }) => {
    const stored = await golden.tensors(tensors);
    const pixels = normalised({ width: size, height: size, data: interleaved(await stored.readBytes('resized_u8')) }, checkpoint.config);
    if (stored.has('pixel_values')) expect(furthest(pixels, await stored.read('pixel_values'))).toBeLessThan(1e-6);
    const own = await checkpoint.network.embed(pixels);
    const expected = embeddings.get(name) as Embedding;
    for (const level of ['image', 'fine', 'finest'] as const) expect([level, furthest(own[level], expected[level])]).toEqual([level, expect.toSatisfy((apart: number) => apart < EMBEDDING)]);
  });

  it.each(cases.map((one) => [one.name, one.image, one] as const))('in the answers to %s about %s', async (name, image, one) => {
    const stored = await golden.tensors(one.tensors);
    const asked = tokensOf(checkpoint, clicks(one, imageOf(one)));
    const mask = stored.has(`${one.prefix}mask_input`) ? await stored.read(`${one.prefix}mask_input`) : undefined;
    const answers = await checkpoint.network.decode(embeddings.get(image) as Embedding, asked.map((tokens) => ({ tokens, ...(mask ? { mask } : {}) })));
    const { stability } = checkpoint.config.decoder;
    const [logits, iou, score] = await Promise.all(['all_logits', 'all_iou', 'object_score_logits'].map((key) => stored.read(one.prefix + key)));
    const each = logits.length / asked.length;
    const full = answers.map((answer, i) => ({ answer, i, padded: isPadded(one, i) }));
    for (const { answer, i } of full.filter(({ padded }) => !padded)) {
      const token = picked(answer, stability, false);
      expect(furthest(answer.logits, logits.subarray(i * each, (i + 1) * each))).toBeLessThan(LOGIT);
      expect(furthest(answer.iou, iou.subarray(4 * i, 4 * i + 4))).toBeLessThan(IOU);
      expect(Math.abs(answer.score - score[i])).toBeLessThan(LOGIT);
      const single = logits.subarray(i * each, i * each + each / 4);
      if (stability) expect(stabilityOf(single, stability.delta)).toBeCloseTo(one.stability[i], 6);
      expect(token).toBe(one.picked_token[i]);
      expect(picked(answer, stability, true)).toBe(picked({ logits: answer.logits, iou: iou.subarray(4 * i, 4 * i + 4) }, stability, true));
    }
  });
}

const isPadded = (one: GoldenCase, i: number): boolean => one.points !== undefined && one.points[i].length < Math.max(...one.points.map(({ length }) => length));

/** [3, place] → [place, 3] */
function interleaved(planes: Uint8Array): Uint8Array {
  const places = planes.length / 3;
  return planes.map((_, i) => planes[(i % 3) * places + Math.floor(i / 3)]);
}
