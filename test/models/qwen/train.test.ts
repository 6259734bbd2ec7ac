import { beforeAll, afterAll, describe, expect, it } from 'vitest';

import type { TrainRow } from '../../../src/models/policy.js';
import { completionLength, prefixShape } from '../../../src/models/qwen/batch.js';
import { readConfig } from '../../../src/models/qwen/config.js';
import { trainFeeds } from '../../../src/models/qwen/feeds.js';
import { openTokenizer } from '../../../src/models/qwen/tokenizer.js';
import { supervisedGraph } from '../../../src/models/qwen/supervised.js';
import { objectiveGraph, scoreProgram, trainProgram, type BatchShape, type TrainGraph } from '../../../src/models/qwen/train.js';
import { grpo } from '../../../src/objectives/policy-gradient.js';
import { findWeights, readWeights } from '../../../src/models/qwen/weight-files.js';
import { hash, uniform } from '../../../src/random.js';
import type { Program } from '../../../src/tensor/onnx.js';
import { openEngine, type Answer, type Engine } from '../../../src/tensor/session.js';
import { tiny } from './opened.js';

const config = await readConfig(tiny);
const tokenizer = await openTokenizer(tiny);
const { vocab } = config.text;
const graphs: Readonly<Record<string, TrainGraph>> = { objective: objectiveGraph(grpo(0.04)), answers: supervisedGraph(config, tokenizer, { patchMask: 0, softNumbers: 2 }) };

let engine: Engine;
beforeAll(async () => {
  engine = openEngine({ workers: 1, threads: 1 });
  const { layout, values } = await readWeights(await findWeights(tiny, config));
  await engine.parameters('policy', layout, values);
});
afterAll(() => engine.release());

const grid = { h: 4, w: 6 };
const lengths = [5, 2, 9];

/** Two prompts with two images each, and three completions of unequal lengths behind each. */
const rows = [0, 1].map((p): TrainRow => {
  const each = (value: (s: number, t: number) => number): number[][] => lengths.map((n, s) => Array.from({ length: n }, (_, t) => value(s, t)));
  const images = [grid, { h: 4, w: 4 }].map((own, i) => ({ grid: own, pixels: Float32Array.from({ length: own.h * own.w * 1176 }, (_, at) => uniform('pixel', p, i, at) - 0.5) }));
  const seen = images.flatMap(({ grid: { h, w } }, i) => [7 + i, ...Array.from({ length: (h * w) / 4 }, () => config.tokens.image)]);
  return {
    prompt: { text: '', tokens: [...seen, ...Array.from({ length: 3 + 4 * p }, (_, t) => hash('prompt', p, t) % 500)], images },
    completions: each((s, t) => hash('token', p, s, t) % 500),
    perToken: {
      oldLogProbs: each((s, t) => -6 - uniform('old', p, s, t)),
      refLogProbs: each((s, t) => -6 - uniform('reference', p, s, t)),
      weight: each((s) => 1 / (lengths[s] * 6)),
      share: each(() => 1 / 32),
      soft: each((s) => s % 2),
    },
    perSample: { advantages: lengths.map((_, s) => uniform('advantage', p, s) - 0.5) },
  };
});

async function run(make: (shape: BatchShape) => Program, more: Partial<BatchShape>): Promise<Answer> {
  const prompts = rows.map(({ prompt }) => prompt);
  const shape: BatchShape = { ...prefixShape(prompts, 2), samples: 3, length: completionLength(rows), suppressed: [1], ...more };
  const program = make(shape);
  const feeds = trainFeeds(config, rows, shape, 0.8);
  await engine.open(program);
  const answer = await engine.run(program, feeds);
  await engine.close(program);
  return answer;
}

/** Largest difference, as a share of the largest value; 0 where all are equal. */
function apartBy(a: Float32Array, b: Float32Array): number {
  const largest = b.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const apart = a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
  return apart === 0 ? 0 : apart / largest;
}

// 2 prompts × 3 completions × 16 tokens are 96: one chunk, two, fourteen of which the last is not full, and one a token.
const ways: readonly Partial<BatchShape>[] = [{ logits: 48 * vocab }, { logits: 7 * vocab + 1 }, { logits: 1 }, { recompute: 'layers' }, { recompute: 'layers', logits: 7 * vocab }];

describe.each(Object.entries(graphs))('the training graph of an %s', (_, graph) => {
  let kept: Answer;
  beforeAll(async () => void (kept = await run((shape) => trainProgram(config, shape, graph), {})));

  it.each(ways)('gives the same loss, metrics and gradients by %o', async (way) => {
    const { outputs, gradient } = await run((shape) => trainProgram(config, shape, graph), way);
    for (const [name, values] of Object.entries(kept.outputs)) expect(apartBy(outputs[name] as Float32Array, values as Float32Array), name).toBeLessThan(1e-5);
    expect(apartBy(gradient as Float32Array, kept.gradient as Float32Array)).toBeLessThan(1e-4);
    expect(Object.keys(outputs)).toEqual(Object.keys(kept.outputs));
  });

  it('has a gradient at all', () => expect(kept.gradient?.filter((g) => g !== 0).length).toBeGreaterThan(10_000));
});

it('scores come out the same by chunks', async () => {
  const whole = await run((shape) => scoreProgram(config, shape, 'policy'), {});
  for (const logits of [7 * vocab, 48 * vocab]) {
    const cut = await run((shape) => scoreProgram(config, shape, 'policy'), { logits });
    expect(apartBy(cut.outputs['logProbs'] as Float32Array, whole.outputs['logProbs'] as Float32Array)).toBeLessThan(1e-5);
  }
});
