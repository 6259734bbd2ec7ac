import { beforeAll, afterAll, describe, expect, it } from 'vitest';

import { fromBf16, toBf16 } from '../../../src/io/half.js';
import type { TrainRow } from '../../../src/models/policy.js';
import { completionLength, prefixShape } from '../../../src/models/vlm/batch.js';
import { PLAIN_BUILD, type Build } from '../../../src/models/vlm/build.js';
import { readConfig } from '../../../src/models/qwen2_5_vl/architecture.js';
import { trainFeeds } from '../../../src/models/vlm/feeds.js';
import { adapterOf, adapterShapes, sideName } from '../../../src/models/vlm/lora.js';
import { openTokenizer } from '../../../src/models/vlm/tokenizer.js';
import { supervisedGraph } from '../../../src/models/vlm/supervised.js';
import {
  objectiveGraph,
  scoreGraph,
  gradientGraph,
  type BatchShape,
  type TrainGraph,
} from '../../../src/models/vlm/train.js';
import { grpo } from '../../../src/objectives/policy-gradient.js';
import { findWeights, readWeights } from '../../../src/models/vlm/weight-files.js';
import { hash, uniform } from '../../../src/random.js';
import type { Engine, Graph, RunResult } from '../../../src/tensor/engine.js';
import { openEngine } from '../../../src/tensor/engines.js';
import type { Precision } from '../../../src/tensor/graph.js';
import { layoutOf, type Layout } from '../../../src/tensor/layout.js';
import { tiny } from './opened.js';

const config = await readConfig(tiny);
const tokenizer = await openTokenizer(tiny);
const { vocab } = config.text;
const graphs: Readonly<Record<string, TrainGraph>> = {
  objective: objectiveGraph(grpo(0.04)),
  answers: supervisedGraph(config, tokenizer, { patchMask: 0, softNumbers: 2 }),
};

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
  const each = (value: (s: number, t: number) => number): number[][] =>
    lengths.map((n, s) => Array.from({ length: n }, (_, t) => value(s, t)));
  const images = [grid, { h: 4, w: 4 }].map((own, i) => ({
    grid: own,
    pixels: Float32Array.from({ length: own.h * own.w * 1176 }, (_, at) => uniform('pixel', p, i, at) - 0.5),
  }));
  const seen = images.flatMap(({ grid: { h, w } }, i) => [
    7 + i,
    ...Array.from({ length: (h * w) / 4 }, () => config.tokens.image),
  ]);
  return {
    prompt: {
      text: '',
      tokens: [...seen, ...Array.from({ length: 3 + 4 * p }, (_, t) => hash('prompt', p, t) % 500)],
      images,
    },
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

async function run(
  make: (shape: BatchShape) => Graph,
  more: Partial<BatchShape>,
  sets = ['policy'],
): Promise<RunResult> {
  const prompts = rows.map(({ prompt }) => prompt);
  const shape: BatchShape = {
    ...prefixShape(prompts, 2),
    samples: 3,
    length: completionLength(rows),
    suppressed: [1],
    ...more,
  };
  const program = make(shape);
  const feeds = trainFeeds(config, rows, shape, 0.8);
  await engine.open(program, sets);
  const answer = await engine.run(program, feeds, sets);
  await engine.close(program);
  return answer;
}

/** Largest difference, as a share of the largest value; 0 where all are equal. */
function apartBy(a: Float32Array, b: Float32Array): number {
  const largest = b.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const apart = a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
  return apart === 0 ? 0 : apart / largest;
}

// 2 prompts × 3 completions × 16 tokens are 96: one chunk, two, fourteen of which the last is not full, and one a
// token.
const ways: readonly Partial<BatchShape>[] = [
  { logits: 48 * vocab },
  { logits: 7 * vocab + 1 },
  { logits: 1 },
  { gradientCheckpointing: true },
  { gradientCheckpointing: true, logits: 7 * vocab },
  { blocks: { together: 0, block: 100 } },
  { blocks: { together: 0, block: 500 }, gradientCheckpointing: true },
];

describe.each(Object.entries(graphs))('the training graph of an %s', (_, graph) => {
  let kept: RunResult;
  beforeAll(async () => void (kept = await run((shape) => gradientGraph(config, shape, graph), {})));

  it.each(ways)('gives the same loss, metrics and gradients by %o', async (way) => {
    const { outputs, gradient } = await run((shape) => gradientGraph(config, shape, graph), way);
    for (const [name, values] of Object.entries(kept.outputs))
      expect(apartBy(outputs[name] as Float32Array, values as Float32Array), name).toBeLessThan(1e-5);
    expect(apartBy(gradient as Float32Array, kept.gradient as Float32Array)).toBeLessThan(1e-4);
    expect(Object.keys(outputs)).toEqual(Object.keys(kept.outputs));
  });

  it('has a gradient at all', () => expect(kept.gradient?.filter((g) => g !== 0).length).toBeGreaterThan(10_000));
});

it('takes trained matrices as halves, with the gradients that float32 of the same values has, in float32', async () => {
  const { layout, values } = await readWeights(await findWeights(tiny, config));
  // Halves of the CPU are float32 with a half's value.
  fromBf16(toBf16(Float32Array.from(values)), values);
  await engine.parameters('halves', layout, values);
  for (const gradientCheckpointing of [false, true]) {
    const by = (held: Precision): Promise<RunResult> =>
      run(
        (shape) => gradientGraph(config, shape, graphs['objective'], { ...PLAIN_BUILD, precision: 'bfloat16', held }),
        { logits: 7 * vocab, gradientCheckpointing },
        ['halves'],
      );
    const [wide, narrow] = [await by('float32'), await by('bfloat16')];
    expect(narrow.outputs).toEqual(wide.outputs);
    expect(apartBy(narrow.gradient as Float32Array, wide.gradient as Float32Array)).toBe(0);
  }
});

it('scores come out the same by chunks', async () => {
  const whole = await run((shape) => scoreGraph(config, shape, 'policy'), {});
  for (const logits of [7 * vocab, 48 * vocab]) {
    const cut = await run((shape) => scoreGraph(config, shape, 'policy'), { logits });
    expect(apartBy(cut.outputs['logProbs'] as Float32Array, whole.outputs['logProbs'] as Float32Array)).toBeLessThan(
      1e-5,
    );
  }
});

describe('an adapter of every linear layer', () => {
  const adapter = adapterOf(config, {
    rank: 3,
    alpha: 6,
    pattern: String.raw`.*(_proj|attn\.qkv|attn\.proj|merger\.mlp\.[02]|lm_head)`,
  });
  const build = { ...PLAIN_BUILD, adapter };
  const shapes = adapterShapes(config, adapter).map(({ name, sizes }) => ({ name, sizes: Object.values(sizes) }));
  const layout = layoutOf(shapes);
  const values = new Float32Array(new SharedArrayBuffer(4 * layout.length)).map(
    (_, i) => 0.2 * (uniform('adapter', i) - 0.5),
  );
  const part = (all: Float32Array, { entries }: Layout, name: string): Float32Array => {
    const { offset, length } = entries.find((entry) => entry.name === name) as Layout['entries'][number];
    return all.subarray(offset, offset + length);
  };
  let base: Layout;
  let kept: RunResult;
  beforeAll(async () => {
    const shared = new Float32Array(new SharedArrayBuffer(4 * layout.length));
    shared.set(values);
    await engine.parameters('adapter', layout, shared);
    const store = await readWeights(await findWeights(tiny, config));
    base = store.layout;
    for (const matrix of adapter.matrices) add(part(store.values, base, matrix), matrix);
    await engine.parameters('merged', base, store.values);
    kept = await run((shape) => gradientGraph(config, shape, graphs['objective'], build), {}, ['adapter', 'policy']);
  });

  /** Adds scale · B · A. */
  function add(to: Float32Array, matrix: string): void {
    const [a, b] = [
      part(values, layout, sideName(config, matrix, 'A')),
      part(values, layout, sideName(config, matrix, 'B')),
    ];
    const columns = a.length / adapter.rank;
    for (let i = 0; i < to.length; i++) {
      const [row, column] = [Math.floor(i / columns), i % columns];
      for (let r = 0; r < adapter.rank; r++)
        to[i] += adapter.scale * b[row * adapter.rank + r] * a[r * columns + column];
    }
  }

  it.each([ways[1], ways[4]])('gives the same loss and gradients by %o', async (way) => {
    const { outputs, gradient } = await run((shape) => gradientGraph(config, shape, graphs['objective'], build), way, [
      'adapter',
      'policy',
    ]);
    for (const [name, expected] of Object.entries(kept.outputs))
      expect(apartBy(outputs[name] as Float32Array, expected as Float32Array), name).toBeLessThan(1e-5);
    expect(apartBy(gradient as Float32Array, kept.gradient as Float32Array)).toBeLessThan(1e-4);
  });

  it('gives the loss of the merged matrices, and of their gradients what reaches each side', async () => {
    const merged = await run((shape) => gradientGraph(config, shape, graphs['objective']), {}, ['merged']);
    expect(apartBy(kept.outputs['loss'] as Float32Array, merged.outputs['loss'] as Float32Array)).toBeLessThan(1e-5);
    for (const matrix of adapter.matrices) {
      const [a, b] = [
        part(values, layout, sideName(config, matrix, 'A')),
        part(values, layout, sideName(config, matrix, 'B')),
      ];
      const whole = part(merged.gradient as Float32Array, base, matrix);
      const [columns, { rank, scale }] = [a.length / adapter.rank, adapter];
      const ofA = a.map(
        (_, i) =>
          scale *
          b.reduce(
            (sum, x, at) =>
              at % rank === Math.floor(i / columns)
                ? sum + x * whole[Math.floor(at / rank) * columns + (i % columns)]
                : sum,
            0,
          ),
      );
      const ofB = b.map(
        (_, i) =>
          scale *
          a.reduce(
            (sum, x, at) =>
              Math.floor(at / columns) === i % rank
                ? sum + x * whole[Math.floor(i / rank) * columns + (at % columns)]
                : sum,
            0,
          ),
      );
      expect(
        apartBy(part(kept.gradient as Float32Array, layout, sideName(config, matrix, 'A')), ofA),
        `${matrix} A`,
      ).toBeLessThan(1e-4);
      expect(
        apartBy(part(kept.gradient as Float32Array, layout, sideName(config, matrix, 'B')), ofB),
        `${matrix} B`,
      ).toBeLessThan(1e-4);
    }
  });

  it('is in bfloat16 as near to float32 as the merged matrices are', async () => {
    const logProbs = async (own: Partial<Build>, sets: string[]): Promise<Float32Array> =>
      (await run((shape) => scoreGraph(config, shape, JSON.stringify(own), { ...PLAIN_BUILD, ...own }), {}, sets))
        .outputs['logProbs'] as Float32Array;
    const astray = async (own: Partial<Build>, sets: string[]): Promise<number> => {
      const [half, exact] = [await logProbs({ ...own, precision: 'bfloat16' }, sets), await logProbs(own, sets)];
      return Math.hypot(...half.map((x, i) => x - exact[i]));
    };
    const [adapted, merged] = [await astray({ adapter }, ['adapter', 'policy']), await astray({}, ['merged'])];
    expect(merged).toBeGreaterThan(0);
    // Another rounding of much the same sums.
    expect(adapted).toBeLessThan(1.5 * merged);
  });

  it('gives the scores of the merged matrices', async () => {
    const [adapted, merged] = [
      await run((shape) => scoreGraph(config, shape, 'adapted', build), { logits: 7 * vocab }, ['adapter', 'policy']),
      await run((shape) => scoreGraph(config, shape, 'merged'), {}, ['merged']),
    ];
    expect(
      apartBy(adapted.outputs['logProbs'] as Float32Array, merged.outputs['logProbs'] as Float32Array),
    ).toBeLessThan(1e-5);
  });
});
