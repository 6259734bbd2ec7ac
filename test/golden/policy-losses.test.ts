import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { tokenWeights, type Objective } from '../../src/objectives/objective.js';
import { dapo, grpo, segR1 } from '../../src/objectives/policy-gradient.js';
import { gradient } from '../../src/tensor/gradient.js';
import type { Tensor } from '../../src/tensor/graph.js';
import { emit } from '../../src/tensor/onnx.js';
import { input, mul, total } from '../../src/tensor/ops.js';
import { openEngine, type Engine } from '../../src/tensor/session.js';
import { farthest, has, integers, json, rowsOf, stored } from './policy-cases.js';

interface Variant {
  readonly loss_type?: string;
  readonly epsilon?: number;
  readonly epsilon_high?: number;
  readonly beta?: number;
  readonly on_policy?: boolean;
  readonly accumulation?: number;
  readonly steps_per_generation?: number;
}

const { defaults, variants, cases } = json<{
  defaults: Required<Pick<Variant, 'epsilon' | 'beta'>>;
  variants: Record<string, Variant>;
  cases: Record<string, Record<string, { loss: number; num_items_in_batch?: number | null }>>;
}>('losses/losses.json');

const KNOWN = new Set(['loss_type', 'epsilon', 'epsilon_high', 'beta', 'on_policy', 'accumulation', 'steps_per_generation']);
const names = Object.entries(variants)
  .filter(([, { loss_type: type = 'grpo', ...options }]) => ['grpo', 'dapo'].includes(type) && Object.keys(options).every((key) => KNOWN.has(key)))
  .map(([name]) => name);
const shapes = Object.keys(cases).filter((shape) => has(`losses/${shape}.safetensors`));
let engine: Engine;

beforeAll(() => void (engine = openEngine({ workers: 1, threads: 1 })));
afterAll(() => engine.release());

it('there are cases of what is called an objective here', () => {
  expect(shapes.length).toBeGreaterThan(0);
  expect(names).toEqual(expect.arrayContaining(['grpo', 'grpo-clip-higher', 'grpo-kl', 'grpo-kl-on-policy', 'dapo', 'dapo-kl', 'dapo-accumulated', 'seg-r1']));
});

describe.each(shapes)('%s: losses and gradients agree with TRL', (shape) => {
  it.each(names)('%s', async (name) => {
    const golden = await stored(`losses/${shape}.safetensors`);
    const variant = variants[name];
    const { loss, num_items_in_batch: items } = cases[shape][name];
    const [sample, token] = golden.info('logp').shape;
    const read = async (key: string): Promise<Float32Array> => golden.read(key);
    const mask = await integers(golden, 'mask');
    const lengths = rowsOf(mask, token).map((row) => row.filter((one) => one === 1).length);
    const weights = stepWeights(lengths, variant, items ?? undefined);

    const logProbs = input('logProbs', 'float32', { prompt: 1, sample, token });
    const per = (key: string): Tensor => input(key, 'float32', { prompt: 1, sample, token });
    const terms = { logProbs, oldLogProbs: per('old'), refLogProbs: per('ref'), advantages: input('advantages', 'float32', { prompt: 1, sample }) };
    const value = total(mul(objectiveOf(name, variant).loss(terms), per('weight')));
    const program = emit(`${shape} ${name}`, { loss: value, slope: gradient(value, [logProbs])[0] });
    await engine.open(program);
    const { outputs } = await engine.run(program, {
      logProbs: await read('logp'),
      old: await read(variant.on_policy ? 'logp' : 'old_logp'),
      ref: await read('ref_logp'),
      advantages: await read('advantages'),
      weight: Float32Array.from(mask, (one, i) => one * weights[Math.floor(i / token)]),
    });
    await engine.close(program);
    expect(outputs['loss'][0]).toBeCloseTo(loss, 6);
    expect(farthest(outputs['slope'] as Float32Array, await read(`grad.${name}`), 1e-3)).toBeLessThan(1e-4);
  });
});

function objectiveOf(name: string, { loss_type: type, epsilon = defaults.epsilon, epsilon_high: high = epsilon, beta = defaults.beta }: Variant): Objective {
  if (name === 'seg-r1') return segR1(beta);
  return (type === 'dapo' ? dapo : grpo)(beta, { low: epsilon, high });
}

/** Weights of a micro-batch's rows, the step's other completions beside them: as many again, or as many tokens as TRL was told. */
function stepWeights(lengths: readonly number[], { loss_type: type, accumulation = 1, steps_per_generation: steps = accumulation }: Variant, items?: number): number[] {
  if (type !== 'dapo') return tokenWeights(Array.from({ length: accumulation }, () => lengths).flat(), 'sequence').slice(0, lengths.length);
  const own = lengths.reduce((sum, length) => sum + length, 0);
  return tokenWeights([...lengths, ((items ?? own) * accumulation) / steps - own], 'token').slice(0, lengths.length);
}
