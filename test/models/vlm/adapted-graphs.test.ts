import { describe, expect, it } from 'vitest';

import { BLOCKS } from '../../../src/models/vlm/attention.js';
import { PLAIN_BUILD, type Build } from '../../../src/models/vlm/build.js';
import { readConfig } from '../../../src/models/qwen2_5_vl/architecture.js';
import type { QwenConfig } from '../../../src/models/qwen2_5_vl/config.js';
import { JOINED } from '../../../src/models/vlm/linear.js';
import { adapterOf } from '../../../src/models/vlm/lora.js';
import { rolloutGraph } from '../../../src/models/vlm/rollout.js';
import { objectiveGraph, scoreGraph, gradientGraph } from '../../../src/models/vlm/train.js';
import { weightShapes } from '../../../src/models/qwen2_5_vl/weights.js';
import { grpo } from '../../../src/objectives/policy-gradient.js';
import type { Graph } from '../../../src/tensor/engine.js';
import {
  bodyNodes,
  count,
  dependencies,
  describe as described,
  reachable,
  type Node,
  type Tensor,
} from '../../../src/tensor/graph.js';
import { tiny } from './opened.js';

/** Values that a graph computes, in its loops and blocks as well. */
function computed({ outputs }: Graph): Tensor[] {
  return nodesOf(Object.values(outputs))
    .filter(({ op }) => op.kind !== 'input' && op.kind !== 'state')
    .flatMap((n) => n.outputs);
}

function nodesOf(results: readonly Tensor[]): Node[] {
  const inner = (n: Node): Node[] =>
    n.op.kind === 'block' || n.op.kind === 'loop' ? bodyNodes(n.op.body).flatMap((own) => [own, ...inner(own)]) : [];
  return reachable(results, dependencies).flatMap((n) => [n, ...inner(n)]);
}

const small = await readConfig(tiny);
/**
 * Matrices of the 3B's widths, none so small that they are joined; all of them larger than anything that a few tokens
 * make.
 */
const wide: QwenConfig = {
  ...small,
  text: {
    ...small.text,
    hidden: 2048,
    intermediate: 11_008,
    layers: 2,
    heads: 16,
    kvHeads: 2,
    headDim: 128,
    mropeSection: [16, 24, 24],
    vocab: 4096,
  },
  vision: {
    ...small.vision,
    hidden: 1280,
    intermediate: 3420,
    depth: 2,
    heads: 16,
    outHidden: 2048,
    fullAttention: [1],
  },
};
const everything = {
  rank: 8,
  alpha: 16,
  pattern: String.raw`.*(_proj|attn\.qkv|attn\.proj|merger\.mlp\.[02]|lm_head)`,
};
const lengths = { prompts: 1, tokens: 16, grids: [{ h: 4, w: 4 }], samples: 2, suppressed: [1] };
const batch = { ...lengths, length: 8 };
const writing = { ...lengths, maxTokens: 8, greedy: false, ends: [2], topK: 5, repetitionPenalty: 1.1 };
const graph = objectiveGraph(grpo(0.04));

const graphs: Readonly<Record<string, (config: QwenConfig, build: Build) => Graph>> = {
  'a rollout': (config, build) => rolloutGraph(config, writing, build),
  scores: (config, build) => scoreGraph(config, batch, 'policy', build),
  training: (config, build) => gradientGraph(config, batch, graph, build),
  'training by chunks of logits, layers computed again': (config, build) =>
    gradientGraph(config, { ...batch, logits: 5 * config.text.vocab, gradientCheckpointing: true }, graph, build),
};
const halves = { precision: 'bfloat16', blocks: BLOCKS.cuda, held: 'bfloat16' } as const;

describe.each(Object.entries(graphs))('%s with an adapter of every linear layer', (_, make) => {
  const adapter = adapterOf(wide, everything);
  const matrices = weightShapes(wide)
    .filter(({ name }) => adapter.matrices.includes(name))
    .map(({ sizes }) => Object.values(sizes).reduce((a, b) => a * b));

  it.each([
    ['float32', PLAIN_BUILD],
    ['bfloat16', halves],
  ])('makes nothing as large as an adapted matrix, in %s', (__, build) => {
    expect(matrices).toHaveLength(2 * 7 + 2 * 5 + 2 + 1);
    const values = computed(make(wide, { ...build, adapter }));
    expect(values.length).toBeGreaterThan(300);
    expect(
      values
        .filter(({ shape }) => count(shape) >= Math.min(...matrices))
        .map((t) => `${t.node.op.kind} ${described(t)}`),
    ).toEqual([]);
  });
});

describe('the checks above', () => {
  it('see what all weights are taught by', () => {
    const sizes = new Set(computed(gradientGraph(wide, batch, graph)).map(({ shape }) => count(shape)));
    for (const { name, sizes: own } of weightShapes(wide))
      expect(sizes, name).toContain(Object.values(own).reduce((a, b) => a * b));
  });
});

describe('a rollout of a small model', () => {
  it('joins frozen matrices and both sides of their adapters, each by itself', () => {
    const adapter = adapterOf(small, everything);
    const values = computed(rolloutGraph(small, writing, { ...PLAIN_BUILD, adapter }));
    const joined = values.filter(
      ({ node: { op }, shape }) =>
        op.kind === 'concat' && shape.length === 2 && shape[1]?.name === 'width' && op.over !== 'rank',
    );
    expect(joined).toHaveLength(2 * small.text.layers);
    for (const { node, shape } of joined) {
      expect(count(shape)).toBeLessThanOrEqual(JOINED);
      for (const {
        node: { op },
      } of node.inputs)
        expect(op.kind === 'input' && op.name).toMatch(/_proj\.weight$/);
    }
  });
});
