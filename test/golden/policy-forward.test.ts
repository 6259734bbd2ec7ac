import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { readConfig } from '../../src/models/qwen2_5_vl/architecture.js';
import type { QwenConfig } from '../../src/models/qwen2_5_vl/config.js';
import { mropePositions, textRotary } from '../../src/models/qwen2_5_vl/positions.js';
import { decoder, embed, head } from '../../src/models/vlm/decoder.js';
import { prefixAttention } from '../../src/models/vlm/visibility.js';
import { visionTower } from '../../src/models/qwen2_5_vl/vision.js';
import { findWeights, lendWeights } from '../../src/models/vlm/weight-files.js';
import { weightShapes } from '../../src/models/qwen2_5_vl/weights.js';
import { weightInputs } from '../../src/models/vlm/weights.js';
import type { Data, Tensor } from '../../src/tensor/graph.js';
import { graphOf, type Engine } from '../../src/tensor/engine.js';
import { concat, div, exp, input, logSoftmax, mul, neg, pick, reshape, slice, sum } from '../../src/tensor/ops.js';
import { openEngine } from '../../src/tensor/engines.js';
import { farthest, folder, goldenRows, has, json, stored, type GoldenRow } from './policy-cases.js';

/** |a - b| <= 1e-4 · max(1, |b|); torch's own two attention kernels are 1.4e-5 apart. */
const CLOSE = 1e-4;
const TEMPERATURES = { '': 1, '_t0.7': 0.7 };

const names = Object.keys(json<Readonly<Record<string, unknown>>>('forward/cases.json')).filter((name) =>
  has(`forward/${name}.safetensors`),
);
let engine: Engine;

beforeAll(() => void (engine = openEngine({ workers: 1, threads: 1 })));
afterAll(() => engine.release());

describe('the model agrees with transformers', () => {
  let config: QwenConfig;
  beforeAll(async () => void (config = await checkpoint('tiny-qwen2_5_vl')));

  it('on as many cases as there are', () => expect(names.length).toBeGreaterThan(0));

  it.each(names)('on %s', async (name) => {
    const golden = await stored(`forward/${name}.safetensors`);
    const rows = await goldenRows(golden, config);
    const outputs = await forward(name, config, rows);
    const length = rows[0].ids.length;
    const real =
      (per: number, places: number) =>
      (i: number): boolean =>
        Math.floor(i / per) % places >= rows[Math.floor(i / per / places)].padding;

    if (rows.some(({ images }) => images.length > 0))
      expect(farthest(outputs['features'], await golden.read('image_features'))).toBeLessThan(CLOSE);
    expect(farthest(outputs['logits'], await golden.read('logits'), 1, real(config.text.vocab, length))).toBeLessThan(
      CLOSE,
    );
    for (const suffix of Object.keys(TEMPERATURES)) {
      expect(
        farthest(outputs[`logp${suffix}`], await golden.read(`logp${suffix}`), 1, real(1, length - 1)),
      ).toBeLessThan(CLOSE);
      expect(
        farthest(outputs[`entropy${suffix}`], await golden.read(`entropy${suffix}`), 1, real(1, length)),
      ).toBeLessThan(CLOSE);
    }
  });
});

it('the second checkpoint, in two bfloat16 files with one table for both ends, agrees with transformers', async () => {
  const config = await checkpoint('tiny-qwen2_5_vl-tied-bf16');
  const golden = await stored('forward/one.safetensors');
  const outputs = await forward('tied', config, await goldenRows(golden, config));
  expect(config.text.tied).toBe(true);
  expect(farthest(outputs['logits'], await golden.read('logits_tied'))).toBeLessThan(CLOSE);
});

/** Hands the engine a checkpoint's weights. */
async function checkpoint(name: string): Promise<QwenConfig> {
  const config = await readConfig(join(folder, name));
  await lendWeights(engine, 'policy', await findWeights(join(folder, name), config));
  return config;
}

/** All of a batch at once, with any number of images a row; in training and rollouts there is at most one. */
async function forward(
  name: string,
  config: QwenConfig,
  rows: readonly GoldenRow[],
): Promise<Readonly<Record<string, Float32Array>>> {
  const { text, vision, tokens: ids } = config;
  const weights = weightInputs(weightShapes(config));
  const [prompt, token, half] = [rows.length, rows[0].ids.length, text.headDim / 2];
  const images = rows.flatMap((row) => row.images);
  const pixel = 3 * vision.temporalPatch * vision.patch ** 2;
  const towers = images.map(({ grid }, i) => {
    const features = visionTower(
      weights,
      config,
      input(`pixels${i}`, 'float32', { image: 1, patch: grid.h * grid.w, pixel }),
      grid,
    );
    return reshape(
      features,
      features.shape.filter((dim) => dim.name !== 'image'),
    );
  });
  const features = towers.length > 0 ? concat(towers, 'visual') : undefined;
  const tokens = input('tokens', 'int64', { prompt, token });
  const rotary = {
    cos: input('cos', 'float32', { prompt, token, half }),
    sin: input('sin', 'float32', { prompt, token, half }),
  };
  const x = embed(weights, config, tokens, features, features && input('visual', 'int64', { prompt, token }));
  const logits = head(
    weights,
    config,
    decoder(weights, config, x, rotary, prefixAttention(input('padding', 'int64', { prompt }), token)),
  );

  const tables = rows.map((row) =>
    textRotary(
      mropePositions(
        row.ids,
        row.images.map(({ grid }) => grid),
        config,
        row.padding,
      ).positions,
      text,
    ),
  );
  let feature = 0n;
  const flat = rows.flatMap((row) => row.ids);
  const feeds: Record<string, Data> = {
    tokens: BigInt64Array.from(flat, BigInt),
    padding: BigInt64Array.from(rows, ({ padding }) => BigInt(padding)),
    visual: BigInt64Array.from(flat, (id) => (id === ids.image ? feature++ : -1n)),
    cos: Float32Array.from(tables.flatMap(({ cos }) => [...cos])),
    sin: Float32Array.from(tables.flatMap(({ sin }) => [...sin])),
    ...Object.fromEntries(images.map(({ pixels }, i) => [`pixels${i}`, pixels])),
  };
  const program = graphOf(`forward ${name}`, {
    logits,
    ...scores(logits, tokens, token),
    ...(features ? { features } : {}),
  });
  await engine.open(program);
  const { outputs } = await engine.run(program, feeds);
  await engine.close(program);
  return outputs as Record<string, Float32Array>;
}

/** Log-probs of the next token and entropies, at both temperatures. */
function scores(logits: Tensor, tokens: Tensor, length: number): Record<string, Tensor> {
  const next = slice(tokens, 'token', 1, length - 1);
  return Object.fromEntries(
    Object.entries(TEMPERATURES).flatMap(([suffix, temperature]) => {
      const all = logSoftmax(div(logits, temperature), 'vocab');
      return [
        [`logp${suffix}`, pick(slice(all, 'token', 0, length - 1), 'vocab', next)],
        [`entropy${suffix}`, neg(sum(mul(exp(all), all), 'vocab'))],
      ];
    }),
  );
}
