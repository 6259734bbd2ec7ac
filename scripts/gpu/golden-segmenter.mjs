/**
 * SAM 2.1 on the goldens' checkpoints: logits of every prompt from the picture on, and the masks that are made of them.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { readImageFile } from '../../dist/io/image.js';
import { decodeMask, readMaskFile } from '../../dist/io/mask.js';
import { openSafetensors } from '../../dist/io/safetensors.js';
import { readSam2Config } from '../../dist/models/sam2/config.js';
import { openNetwork } from '../../dist/models/sam2/network.js';
import { normalised } from '../../dist/models/sam2/processor.js';
import { clicksOf, promptTokens } from '../../dist/models/sam2/prompts.js';
import { openSam2 } from '../../dist/models/sam2/segmenter.js';
import { openWeights } from '../../dist/models/sam2/weights.js';
import { openEngine } from '../../dist/tensor/engines.js';

export async function* segmenter(folder, target) {
  const golden = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8'));
  for (const [size, dir] of await checkpoints(folder)) {
    try {
      const images = golden.images.filter((image) => image.size === size);
      const cases = golden.cases.filter(
        (one) =>
          one.size === size &&
          !one.points?.some(({ length }) => length < Math.max(...one.points.map((points) => points.length))),
      );
      yield* answers(folder, dir, target, images, cases);
      yield* masks(
        folder,
        dir,
        target,
        images,
        cases.filter((one) => one.mask_from === undefined),
      );
    } finally {
      await rm(dir, { recursive: true });
    }
  }
}

/** A folder of each size's own, for they share the weights of one. */
async function checkpoints(folder) {
  const folders = readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((path) => existsSync(join(path, 'config.json')));
  const whole = folders.find((path) => existsSync(join(path, 'model.safetensors')));
  return Promise.all(
    folders.map(async (path) => {
      const dir = await mkdtemp(join(tmpdir(), 'segr1-golden-'));
      await cp(whole, dir, { recursive: true });
      await cp(path, dir, { recursive: true });
      return [JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')).prompt_encoder_config.image_size, dir];
    }),
  );
}

function promptOf({ boxes, points, labels }, [height, width]) {
  const objects = Array.from({ length: boxes?.length ?? points?.length ?? 0 }, (_, i) => ({
    ...(boxes ? { box: boxes[i] } : {}),
    points: (points?.[i] ?? []).map(([x, y], n) => ({ x, y, label: labels?.[i]?.[n] })),
  }));
  return { frame: { width, height }, objects };
}

async function* answers(folder, dir, { device, precision, threads }, images, cases) {
  const config = await readSam2Config(dir);
  const engine = openEngine({ workers: 1, threads, device });
  const weights = await openWeights(dir, config, engine.traits.halves);
  const network = await openNetwork(engine, weights, config, precision);
  try {
    for (const image of images) {
      const bytes = await (await openSafetensors(join(folder, image.tensors))).readBytes('resized_u8');
      const places = bytes.length / 3;
      const data = bytes.map((_, i) => bytes[(i % 3) * places + Math.floor(i / 3)]);
      const embedding = await network.keep(normalised({ width: image.size, height: image.size, data }, config));
      for (const one of cases.filter(({ image: name }) => name === image.name)) {
        const stored = await openSafetensors(join(folder, one.tensors));
        const prompt = promptOf(one, image.original_hw);
        const mask = stored.has(`${one.prefix}mask_input`)
          ? { mask: await stored.read(`${one.prefix}mask_input`) }
          : {};
        const asked = prompt.objects.map((object) => ({
          tokens: promptTokens(weights, config, clicksOf(object, prompt.frame, image.size)),
          ...mask,
        }));
        const decoded = await network.decode(embedding, asked);
        const joined = (key) => decoded.flatMap((answer) => [...answer[key]]);
        yield {
          name: `${one.name} of ${image.name} at ${image.size}`,
          parts: {
            logits: {
              own: joined('logits'),
              golden: await stored.read(`${one.prefix}all_logits`),
              absolute: true,
              allowed: 0.02,
            },
            iou: { own: joined('iou'), golden: await stored.read(`${one.prefix}all_iou`), allowed: 1e-4 },
          },
        };
      }
      await network.drop(embedding);
    }
  } finally {
    await network.release();
  }
}

async function* masks(folder, dir, { device, precision, threads, memory }, images, cases) {
  const where = device.kind === 'cpu' ? 'cpu' : `cuda:${device.index}`;
  const opened = await openSam2({ checkpoint: dir, device: where, memory, precision, threads });
  try {
    for (const image of images) {
      const own = cases.filter(({ image: name }) => name === image.name);
      const [height, width] = image.original_hw;
      const made = await opened.segment({
        image: await readImageFile(join(folder, image.file)),
        prompts: own.map((one) => promptOf(one, image.original_hw)),
        frame: { width, height },
      });
      const [bits, stored] = [[], []];
      for (const [i, one] of own.entries()) {
        bits.push(...decodeMask(made[i]));
        stored.push(...decodeMask((await readMaskFile(join(folder, one.mask), { width, height })).mask));
      }
      yield {
        name: `masks of ${image.name} at ${image.size}`,
        parts: { pixels: { own: bits, golden: stored, exact: true } },
      };
    }
  } finally {
    await opened.release();
  }
}
