import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { mostUncertain } from '../../src/objectives/entropy.js';
import { graphMetrics } from '../../src/operators/training/step-metrics.js';
import { tokenWeights, type Average, type Objective } from '../../src/objectives/objective.js';
import { policyLoss } from '../../src/objectives/policy-loss.js';
import { gradient } from '../../src/tensor/gradient.js';
import type { Tensor } from '../../src/tensor/graph.js';
import { graphOf, type Engine, type Feeds, type RunResult } from '../../src/tensor/engine.js';
import { input } from '../../src/tensor/ops.js';
import { openEngine } from '../../src/tensor/engines.js';
import type { Tensors } from '../../src/io/safetensors.js';
import { farthest, has, integers, json, rowsOf, stored } from './policy-cases.js';
import { Defaults, objectiveOf, Variant } from './policy-variants.js';

const golden = json<{
  defaults: unknown;
  variants: Record<string, unknown>;
  cases: Record<string, Record<string, Case>>;
}>('losses/losses.json');
const defaults = Defaults.parse(golden.defaults);
const shapes = Object.keys(golden.cases).filter((shape) => has(`losses/${shape}.safetensors`));
let engine: Engine;

interface Case {
  readonly loss: number;
  readonly num_items_in_batch?: number | null;
  readonly metrics: Readonly<Record<string, number | null>>;
}

beforeAll(() => void (engine = openEngine({ workers: 1, threads: 1 })));
afterAll(() => engine.release());

it('there are cases of every objective', () => {
  expect(shapes.length).toBeGreaterThan(0);
  expect(Object.keys(golden.variants)).toEqual(expect.arrayContaining(['grpo', 'dapo', 'seg-r1']));
  for (const shape of shapes)
    expect(Object.keys(golden.cases[shape]).toSorted()).toEqual(Object.keys(golden.variants).toSorted());
});

describe.each(shapes)('%s: losses, gradients and metrics agree with TRL', (shape) => {
  it.each(Object.keys(golden.variants))('%s', async (name) => {
    const tensors = await stored(`losses/${shape}.safetensors`);
    const variant = Variant.parse(golden.variants[name]);
    const objective = objectiveOf(name, variant, defaults);
    const [sample, token] = tensors.info('logp').shape;
    const size = { prompt: 1, sample, token };
    const batch = await readBatch(tensors);
    const { loss, num_items_in_batch: items, metrics } = golden.cases[shape][name];
    const feeds = feedsOf(batch, variant, objective, items ?? undefined);
    const { outputs, sizes } = await evaluate(`${shape} ${name}`, objective, size, feeds);

    expect(Math.abs((outputs['loss'][0] as number) - loss)).toBeLessThan(1e-6 * Math.max(1, Math.abs(loss)));
    expect(farthest(outputs['slope'] as Float32Array, await tensors.read(`grad.${name}`), 1e-3)).toBeLessThan(1e-4);
    expect(tensors.has(`grad_entropy.${name}`)).toBe(objective.entropyBonus > 0);
    if (objective.entropyBonus > 0)
      expect(
        farthest(outputs['entropySlope'] as Float32Array, await tensors.read(`grad_entropy.${name}`), 1e-3),
      ).toBeLessThan(1e-4);
    expect(tensors.has(`ratio.${name}`)).toBe(objective.corrects);
    if (objective.corrects)
      expect(farthest(outputs['whole mismatch'] as Float32Array, await tensors.read(`ratio.${name}`))).toBeLessThan(
        1e-6,
      );
    for (const [metric, expected] of Object.entries(metrics)) {
      const own = seen(
        metric,
        { outputs: { ...outputs, rewarded: feeds['bonus'] as Float32Array }, sizes },
        batch,
        variant,
        objective,
      );
      if (expected === null) expect(own, metric).toBeNaN();
      else expect(own, metric).toBeCloseTo(expected, 5);
    }
  });
});

interface Batch extends Readonly<
  Record<'logp' | 'old_logp' | 'ref_logp' | 'sampler_logp' | 'entropy' | 'advantages', Float32Array>
> {
  /** [row][token] */
  readonly mask: readonly (readonly number[])[];
}

async function readBatch(tensors: Tensors): Promise<Batch> {
  const names = ['logp', 'old_logp', 'ref_logp', 'sampler_logp', 'entropy', 'advantages'] as const;
  const values = await Promise.all(names.map(async (name) => [name, await tensors.read(name)] as const));
  return {
    ...(Object.fromEntries(values) as Omit<Batch, 'mask'>),
    mask: rowsOf(await integers(tensors, 'mask'), tensors.info('mask').shape[1]),
  };
}

/** The micro-batch as a step of `accumulation` such ones has it. */
function feedsOf(batch: Batch, variant: Variant, objective: Objective, items?: number): Feeds {
  const { mask } = batch;
  const lengths = mask.map(sumOf);
  const spread = (weights: readonly number[]): Float32Array =>
    Float32Array.from(mask.flatMap((row, r) => row.map((one) => one * weights[r])));
  const entropies = rowsOf(batch.entropy, mask[0].length).map((row, r) =>
    row.map((entropy, t) => (mask[r][t] === 1 ? entropy : NaN)),
  );
  const picked = mostUncertain(entropies, objective.topEntropy).flat();
  const rewarded = sumOf(picked) * variant.accumulation;
  return {
    given: batch.logp,
    entropies: batch.entropy,
    oldLogProbs: variant.on_policy ? batch.logp : batch.old_logp,
    refLogProbs: batch.ref_logp,
    // On-policy the old weights count as the new ones, yet the mismatch stays that of the old ones to the sampler.
    samplerLogProbs: variant.on_policy
      ? batch.sampler_logp.map((p, i) => p - batch.old_logp[i] + batch.logp[i])
      : batch.sampler_logp,
    advantages: batch.advantages,
    picked: Float32Array.from(picked),
    bonus: Float32Array.from(picked, (one) => one / Math.max(1, rewarded)),
    weight: spread(stepWeights(lengths, variant, objective.average, items)),
    share: spread(tokenWeights(lengths, 'token')),
    sampleShare: new Float32Array(mask.length).fill(1 / mask.length),
  };
}

/**
 * Weights of a micro-batch's rows, the step's other completions beside them: as many again, or as many tokens as TRL
 * was told.
 */
function stepWeights(
  lengths: readonly number[],
  { accumulation, steps_per_generation: steps = accumulation }: Variant,
  average: Average,
  items?: number,
): number[] {
  if (items === undefined)
    return tokenWeights(Array.from({ length: accumulation }, () => lengths).flat(), average).slice(0, lengths.length);
  return tokenWeights([...lengths, (items * accumulation) / steps - sumOf(lengths)], average).slice(0, lengths.length);
}

async function evaluate(
  name: string,
  objective: Objective,
  size: { prompt: number; sample: number; token: number },
  feeds: Feeds,
): Promise<RunResult> {
  const [logProbs, entropy] = [input('given', 'float32', size), input('entropies', 'float32', size)];
  const whole: Record<string, Tensor> = {};
  const watched: Objective = {
    ...objective,
    trace(terms) {
      const traced = objective.trace(terms);
      for (const [report, value] of Object.entries(traced.reports)) whole[`whole ${report}`] = value;
      return traced;
    },
  };
  const scalars = policyLoss(watched, { logProbs, entropy }, size);
  const [slope, entropySlope] = gradient(scalars.loss, [logProbs, entropy]);
  const program = graphOf(name, { ...scalars, ...whole, slope, entropySlope });
  await engine.open(program);
  const answer = await engine.run(program, feeds);
  await engine.close(program);
  return answer;
}

/** What our graph says to a metric of TRL's; undefined to one that is unknown, which fails. */
function seen(
  metric: string,
  { outputs, sizes }: Pick<RunResult, 'outputs' | 'sizes'>,
  { mask, entropy }: Batch,
  { accumulation, loss_type: type }: Variant,
  objective: Objective,
): number | undefined {
  const scalar = (name: string): number => outputs[name][0] as number;
  const told = graphMetrics(
    Object.fromEntries(
      Object.entries(outputs).flatMap(([name, values]) =>
        sizes[name]?.length === 0 ? [[name, Number(values[0])]] : [],
      ),
    ),
  );
  /** Of each completion that has tokens; TRL takes rows of one token for completions' own values. */
  const each = (name: string): number[] => {
    const values = outputs[`whole ${name}`] as Float32Array;
    if (sizes[`whole ${name}`].length === 2 || mask[0].length === 1) return [...values];
    const rows = rowsOf(values, mask[0].length).map((row, r) => row.filter((_, t) => mask[r][t] === 1));
    return rows.filter((row) => row.length > 0).map((row) => sumOf(row) / row.length);
  };
  switch (metric) {
    case 'kl':
      // Seg-R1 averages it within completions first.
      return objective.name.startsWith('seg-r1') ? sumOf(each('kl')) / mask.length : scalar('kl');
    case 'entropy_coef':
      return objective.entropyBonus;
    case 'policy_loss':
      return (
        (scalar('loss') +
          objective.entropyBonus *
            sumOf([...(outputs['rewarded'] as Float32Array)].map((share, i) => share * entropy[i]))) *
        (type === 'dapo' || type === 'cispo' || type === 'vespo' ? 1 : accumulation)
      );
    case 'clip_ratio/low_min':
      return mask[0].length === 1 ? least(each('clipLow')) : told[metric];
    case 'clip_ratio/high_max':
      return mask[0].length === 1 ? -least(each('clipHigh').map((value) => -value)) : told[metric];
    default:
      return told[metric];
  }
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
const least = (values: readonly number[]): number => (values.length === 0 ? NaN : Math.min(...values));
