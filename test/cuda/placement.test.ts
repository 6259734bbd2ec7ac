import { join } from 'node:path';

import { beforeAll, describe, expect, it, vi } from 'vitest';

import type { TrainRow } from '../../src/models/policy.js';
import { readConfig } from '../../src/models/qwen2_5_vl/architecture.js';
import type { OpenPolicyOptions } from '../../src/models/policies.js';
import type { VlmPolicy } from '../../src/models/vlm/policy.js';
import { patchMaskHead } from '../../src/models/vlm/supervised.js';
import { objectiveGraph, gradientGraph } from '../../src/models/vlm/train.js';
import { BLOCKS } from '../../src/models/vlm/attention.js';
import { readSam2Config } from '../../src/models/sam2/config.js';
import { openNetwork } from '../../src/models/sam2/network.js';
import { promptTokens } from '../../src/models/sam2/prompts.js';
import { openWeights } from '../../src/models/sam2/weights.js';
import { dapo, grpo, segR1 } from '../../src/objectives/policy-gradient.js';
import { policyLoss } from '../../src/objectives/policy-loss.js';
import { gradient } from '../../src/tensor/gradient.js';
import type { Precision } from '../../src/tensor/graph.js';
import { graphOf, inputsOf, type Graph } from '../../src/tensor/engine.js';
import { input } from '../../src/tensor/ops.js';
import { openEngine } from '../../src/tensor/engines.js';
import { fixturesFolder } from '../golden/golden.js';
import { json } from '../golden/policy-cases.js';
import { Defaults, objectiveOf, Variant } from '../golden/policy-variants.js';
import { checkpointFolders, goldenSet } from '../golden/segmenter-cases.js';
import { asking, lessons, prompts, writing } from '../models/vlm/lessons.js';
import { hollowSam2 } from './hollow.js';
import { replay, type Outcome } from './replay.js';
import { findStandin } from './standin.js';
import { record, tiny, withPolicy, type Work } from './work.js';

vi.mock('../../src/tensor/engines.js', async (original) => ({
  ...(await original<object>()),
  openEngine: (await import('./recording.js')).openRecorder,
}));

const standin = findStandin();
const LORA = { lora: { rank: 4, alpha: 8, pattern: '.*_proj' } };

const SAMPLING = {
  'the likeliest tokens': { temperature: 0 },
  'the likeliest tokens with a penalty': { temperature: 0, repetitionPenalty: 1.3 },
  'drawn tokens': {},
  'drawn tokens with entropies': { entropy: true },
  'tokens of the top k': { topK: 20 },
  'tokens of the top p': { topP: 0.8 },
  'tokens over a least probability': { minP: 0.05 },
  'tokens by all options together': { repetitionPenalty: 1.3, topK: 20, topP: 0.8, minP: 0.05, entropy: true },
};
const short = { ...writing, group: 2, maxTokens: 4 };
const first = (policy: VlmPolicy) => prompts(policy).slice(0, 1);
const rows = (policy: VlmPolicy): TrainRow[] => lessons(policy, 2, first(policy));
const written = (policy: VlmPolicy): TrainRow[] => rows(policy).map((row) => ({ ...row, perToken: {}, perSample: {} }));

/** Of float16, which has every kernel that bfloat16 has. */
const SOME = /all options|adapter, layers|supervised/;

function policies(precision: Precision): Work[] {
  const work = (
    name: string,
    options: Partial<OpenPolicyOptions>,
    run: (policy: VlmPolicy) => Promise<unknown>,
  ): Work => withPolicy(`${name}, ${precision}`, { ...options, precision }, run);
  return [
    ...Object.entries(SAMPLING).map(([name, sampling]) =>
      work(`a rollout of ${name}`, { train: 'none' }, (policy) =>
        policy.generate(asking(first(policy), { ...short, ...sampling })),
      ),
    ),
    work('rollouts of prompts of many shapes', { train: 'none', batch: 2 }, (policy) =>
      policy.generate(asking(prompts(policy), short)),
    ),
    work('a rollout by an adapter', { train: LORA }, (policy) => policy.generate(asking(first(policy), short))),
    work('scores', { train: 'full' }, (policy) => policy.scores({ rows: written(policy), temperature: 1 })),
    work('scores of the reference', { train: 'full' }, (policy) =>
      policy.referenceScores({ rows: written(policy), temperature: 1 }),
    ),
    work('training of all weights', { train: 'full' }, (policy) =>
      policy.gradient({ loss: { objective: grpo(0.04) }, rows: rows(policy), temperature: 1 }),
    ),
    work('training of all weights, layers computed again', { train: 'full', gradientCheckpointing: true }, (policy) =>
      policy.gradient({ loss: { objective: segR1(0.04) }, rows: rows(policy), temperature: 1 }),
    ),
    work('training of an adapter', { train: LORA }, (policy) =>
      policy.gradient({ loss: { objective: dapo(0) }, rows: rows(policy), temperature: 1 }),
    ),
    work('training of an adapter, layers computed again', { train: LORA, gradientCheckpointing: true }, (policy) =>
      policy.gradient({ loss: { objective: segR1(0) }, rows: rows(policy), temperature: 1 }),
    ),
    work(
      'supervised training with soft numbers and the patch-mask loss',
      { train: 'full', extra: patchMaskHead },
      async (policy) => {
        const taught = rows(policy).map((row): TrainRow => {
          const { weight = [] } = row.perToken;
          const patches = row.prompt.images.reduce((sum, { grid }) => sum + grid.h * grid.w, 0);
          return {
            ...row,
            perToken: { weight, soft: weight },
            perSample: {},
            perPrompt: { patchShare: new Float32Array(patches), patchWeight: new Float32Array(1) },
          };
        });
        await policy.gradient({ loss: { supervised: { patchMask: 1, softNumbers: 1 } }, rows: taught, temperature: 1 });
      },
    ),
    // Emitted by itself, for the small vocabulary's logits would be of one chunk.
    {
      name: `training in chunks of logits that are no share of its tokens, ${precision}`,
      run: async () => {
        const config = await readConfig(tiny);
        const shape = {
          prompts: 1,
          tokens: 16,
          grids: [{ h: 4, w: 4 }],
          samples: 2,
          length: 8,
          suppressed: [],
          logits: 7 * config.text.vocab,
        };
        await ran(
          gradientGraph(config, shape, objectiveGraph(grpo(0.04)), {
            precision,
            blocks: BLOCKS.cuda,
            held: 'float32',
          }),
        );
      },
    },
  ];
}

const golden = json<{ defaults: unknown; variants: Record<string, unknown> }>('losses/losses.json');
/** Losses by themselves: all that an objective adds to a training graph. */
const losses = Object.entries(golden.variants).map(([name, variant]): Work => ({
  name: `the loss of ${name}`,
  run: () => ran(lossProgram(name, Variant.parse(variant))),
}));

function lossProgram(name: string, variant: Variant): Graph {
  const size = { prompt: 2, sample: 3, token: 5 };
  const [logProbs, entropy] = [input('given', 'float32', size), input('entropies', 'float32', size)];
  const scalars = policyLoss(objectiveOf(name, variant, Defaults.parse(golden.defaults)), { logProbs, entropy }, size);
  const [slope, entropySlope] = gradient(scalars.loss, [logProbs, entropy]);
  return graphOf(name, { ...scalars, slope, entropySlope });
}

async function ran(graph: Graph): Promise<void> {
  const engine = openEngine({ workers: 1, threads: 1 });
  await engine.open(graph);
  await engine.run(
    graph,
    Object.fromEntries(
      inputsOf(graph).map(({ name, sizes }) => [
        name,
        new Float32Array(sizes.reduce((product, size) => product * size, 1)),
      ]),
    ),
  );
  await engine.close(graph);
}

const fixtures = [...checkpointFolders(goldenSet(join(fixturesFolder(), 'segmenter')))];
const segmenters = (precision: Precision): Work[] => [
  ...fixtures.map(([size, folders]) =>
    segmenting(`a segmenter of ${size} px, ${precision}`, precision, async () => folders),
  ),
  ...(['tiny', 'large'] as const).map((size) =>
    segmenting(`a segmenter of the shape of sam2.1-hiera-${size}, ${precision}`, precision, async () =>
      inOne(await hollowSam2(size)),
    ),
  ),
];

const inOne = (folder: string): { readonly config: string; readonly weights: string } => ({
  config: folder,
  weights: folder,
});

/** Embeds an image and asks for three objects in each way; sizes of a model may share weights. */
function segmenting(
  name: string,
  precision: Precision,
  folders: () => Promise<{ readonly config: string; readonly weights: string }>,
): Work {
  const run = async (): Promise<void> => {
    const { config: from, weights: beside } = await folders();
    const config = await readSam2Config(from);
    const weights = await openWeights(beside, config, true);
    const network = await openNetwork(openEngine({ workers: 1, threads: 1 }), weights, config, precision);
    const embedding = await network.embed(new Float32Array(3 * config.size ** 2));
    const tokens = promptTokens(weights, config, [{ x: 3, y: 4, label: 1 }]);
    await network.answer(
      embedding,
      Array.from({ length: 3 }, () => ({ tokens })),
      false,
    );
    await network.answer(embedding, [{ tokens, mask: new Float32Array((config.size / 4) ** 2) }], true);
    await network.decode(embedding, [{ tokens }]);
    await network.release();
  };
  return { name, run };
}

describe.skipIf('lacks' in standin)(
  `on CUDA every node of a graph is placed on the device${'lacks' in standin ? `, left out: ${standin.lacks}` : ''}`,
  () => {
    const works = [
      ...(['float32', 'bfloat16'] as const).flatMap((precision) => [...policies(precision), ...segmenters(precision)]),
      ...policies('float16').filter(({ name }) => SOME.test(name)),
      ...losses,
    ];
    let outcomes: ReadonlyMap<string, Outcome>;
    beforeAll(async () => {
      if (!('lacks' in standin)) outcomes = await replay(standin, await record(works));
    }, 600_000);

    it.each(works.map(({ name }) => name))('%s', (name) => {
      const { error, opened, runs } = outcomes.get(name) as Outcome;
      expect(error).toBeUndefined();
      expect(runs.length).toBeGreaterThan(0);
      expect(opened.length).toBeGreaterThan(0);
    });
  },
);
