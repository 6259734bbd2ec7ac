import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';

import type { Sampling } from '../../../src/models/policy.js';
import { draw, greedy, narrow, penalise, suppress } from '../../../src/models/vlm/sample.js';
import { HIDDEN } from '../../../src/models/vlm/visibility.js';
import { draws } from '../../../src/random.js';
import { dependencies, reachable, sizeOf } from '../../../src/tensor/graph.js';
import { graphOf } from '../../../src/tensor/engine.js';
import { constant, div, gather, greater, input, loop } from '../../../src/tensor/ops.js';
import { openEngine } from '../../../src/tensor/engines.js';

const engine = openEngine({ workers: 1, threads: 1 });
afterAll(() => engine.release());

interface Asked extends Sampling {
  readonly temperature?: number;
  readonly suppressed?: readonly number[];
  /** Ids that the penalty falls on. */
  readonly seen?: readonly number[];
}

/** What the runtime says of each row of logits. */
interface Told {
  /** One a uniform. */
  readonly tokens: readonly number[];
  readonly logProbs: readonly number[];
  readonly entropy: number;
  readonly kept: readonly boolean[];
}

let programs = 0;

/** Draws from each row with every uniform, in one loop, as a rollout does. */
async function tell(
  rows: readonly Float32Array[],
  uniforms: readonly number[],
  { temperature = 1, suppressed = [], seen = [], ...limits }: Asked = {},
): Promise<Told[]> {
  const sizes = { prompt: 1, sample: rows.length };
  const vocab = rows[0].length;
  const logits = input('logits', 'float32', { ...sizes, vocab });
  const chances = input('uniforms', 'float32', { ...sizes, own: uniforms.length });
  const at = input('temperature', 'float32', {});
  const penalised =
    limits.repetitionPenalty === undefined
      ? logits
      : penalise(
          logits,
          constant(
            Uint8Array.from({ length: vocab }, (_, id) => Number(seen.includes(id))),
            { vocab },
          ),
          limits.repetitionPenalty,
        );
  const possible = suppress(penalised, suppressed);
  const { collected } = loop(uniforms.length, {}, (turn) => {
    const { token, logProb } = draw(possible, gather(chances, 'own', turn), at, limits);
    return { state: {}, collect: { token, logProb }, going: constant(Uint8Array.of(1), {}) };
  });
  const { entropy } = draw(possible, gather(chances, 'own', constant(BigInt64Array.of(0n), {})), at, limits);
  const kept = greater(narrow(div(possible, at), limits), HIDDEN / 2);
  const program = graphOf(`draws ${programs++}`, { ...collected, entropy, kept });
  await engine.open(program);
  const { outputs } = await engine.run(program, {
    logits: Float32Array.from(rows.flatMap((row) => [...row])),
    uniforms: Float32Array.from(rows.flatMap(() => uniforms)),
    temperature: Float32Array.of(temperature),
  });
  await engine.close(program);
  const of = (name: string, row: number): number[] =>
    uniforms.map((_, i) => Number(outputs[name][i * rows.length + row]));
  return rows.map((_, row) => ({
    tokens: of('token', row),
    logProbs: of('logProb', row),
    entropy: Number(outputs['entropy'][row]),
    kept: Array.from(outputs['kept'].slice(row * vocab, (row + 1) * vocab) as Uint8Array, (flag) => flag === 1),
  }));
}

/** Logits as the limits see them: float32 as the graph's, in its order of operations. */
function tempered(
  row: Float32Array,
  { temperature = 1, suppressed = [], seen = [], repetitionPenalty = 1 }: Asked,
): Float32Array {
  const [penalty, divisor] = [Math.fround(repetitionPenalty), Math.fround(temperature)];
  const own = Float32Array.from(row);
  for (const id of seen) own[id] = own[id] > 0 ? own[id] / penalty : own[id] * penalty;
  for (const id of suppressed) own[id] = -Infinity;
  return own.map((logit) => logit / divisor);
}

/** Probabilities in float64; what is not kept has none. */
function probabilities(logits: Float32Array, kept: (id: number) => boolean = () => true): Float64Array {
  const largest = logits.reduce((a, b, id) => (kept(id) ? Math.max(a, b) : a), -Infinity);
  const weights = Float64Array.from(logits, (logit, id) => (kept(id) ? Math.exp(logit - largest) : 0));
  const whole = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / whole);
}

/**
 * How far the uniforms lie outside the steps of the tokens that they drew; infinitely far where a token has no
 * probability.
 */
function farthest(tokens: readonly number[], uniforms: readonly number[], p: Float64Array): number {
  const ends = new Float64Array(p.length);
  p.reduce((sum, share, id) => (ends[id] = sum + share), 0);
  return tokens.reduce(
    (far, token, i) =>
      p[token] > 0 ? Math.max(far, ends[token] - p[token] - uniforms[i], uniforms[i] - ends[token]) : Infinity,
    0,
  );
}

const entropyOf = (p: Float64Array): number =>
  p.reduce((sum, share) => (share > 0 ? sum - share * Math.log(share) : sum), 0);
const largestOf = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);

/** What the float64 reference keeps under the limits; `near` are the ids that float32 may keep or not. */
function keptBy(
  logits: Float32Array,
  { topK = 0, topP = 1, minP = 0 }: Sampling,
): { readonly kept: readonly boolean[]; readonly near: ReadonlySet<number> } {
  let kept = Array.from(logits, (logit) => logit > -Infinity);
  const near = new Set<number>();
  const ids = (): number[] => [...kept.keys()].filter((id) => kept[id]);
  if (topK > 0) {
    const least = ids()
      .map((id) => logits[id])
      .toSorted((a, b) => b - a)[Math.min(topK, ids().length) - 1];
    kept = kept.map((own, id) => own && logits[id] >= least);
  }
  if (topP < 1) {
    const p = probabilities(logits, (id) => kept[id]);
    let together = 0;
    for (const id of ids()
      .toSorted((a, b) => logits[a] - logits[b] || a - b)
      .slice(0, -1)) {
      together += p[id];
      if (Math.abs(together - (1 - topP)) < 1e-6) near.add(id);
      if (together <= 1 - topP) kept[id] = false;
    }
  }
  if (minP > 0) {
    const p = probabilities(logits, (id) => kept[id]);
    const bound = minP * largestOf([...p]);
    for (const id of ids()) {
      if (Math.abs(p[id] / bound - 1) < 1e-5) near.add(id);
      if (p[id] < bound) kept[id] = false;
    }
  }
  return { kept, near };
}

const differing = (a: readonly boolean[], b: readonly boolean[], besides: ReadonlySet<number>): number[] =>
  [...a.keys()].filter((id) => a[id] !== b[id] && !besides.has(id));

const VOCAB = 151_936;
const LARGEST = 1 - 2 ** -24;
const normal = draws('sample', 'vocabulary');
const logitsOf = (logit: (id: number) => number): Float32Array =>
  Float32Array.from({ length: VOCAB }, (_, id) => logit(id));
const kinds: Readonly<Record<string, Float32Array>> = {
  flat: logitsOf(() => 0),
  broad: logitsOf(() => normal.normal(3)),
  peaked: logitsOf((id) => (id === 1000 ? 18 : normal.normal(2))),
};

/** 0, the largest, and between them evenly, a tenth of them in the last thousandth; all with 24 bits. */
function spread(count: number): number[] {
  const evenly = (from: number, to: number, n: number): number[] =>
    Array.from({ length: n }, (_, i) => Math.floor((from + ((to - from) * (i + 0.5)) / n) * 2 ** 24) / 2 ** 24);
  return [0, ...evenly(0, 0.999, 0.9 * count - 2), ...evenly(0.999, 1, 0.1 * count), LARGEST];
}

describe('a vocabulary of 151,936', () => {
  const names = Object.keys(kinds);
  const rows = Object.values(kinds);

  it('is drawn from as by a float64 inverse CDF, save within 1e-6 of a step', async () => {
    const uniforms = spread(10_000);
    for (const [i, { tokens, logProbs, entropy }] of (await tell(rows, uniforms)).entries()) {
      const p = probabilities(rows[i]);
      expect(farthest(tokens, uniforms, p), names[i]).toBeLessThan(1e-6);
      expect(largestOf(logProbs.map((own, u) => own - Math.log(p[tokens[u]]))), names[i]).toBeLessThan(3e-6);
      expect(Math.abs(entropy - entropyOf(p)), names[i]).toBeLessThan(3e-6);
    }
  });

  it.each<Asked>([
    { temperature: 0.7 },
    { topK: 50 },
    { topP: 0.9 },
    { topP: 0.999, temperature: 1.5 },
    { minP: 0.05 },
    { repetitionPenalty: 1.3, seen: [7, 1000, 1001, 90_000], suppressed: [0, 1, VOCAB - 1] },
    { topK: 4000, topP: 0.95, minP: 1e-3, temperature: 0.9, repetitionPenalty: 1.1, seen: [1000], suppressed: [5] },
  ])('is narrowed as a float64 reference does: %j', async (asked) => {
    const uniforms = spread(1000);
    for (const [i, { tokens, logProbs, entropy, kept }] of (await tell(rows, uniforms, asked)).entries()) {
      const logits = tempered(rows[i], asked);
      const reference = keptBy(logits, asked);
      expect(differing(kept, reference.kept, reference.near), names[i]).toEqual([]);
      const p = probabilities(logits, (id) => kept[id]);
      expect(farthest(tokens, uniforms, p), names[i]).toBeLessThan(1e-6);
      expect(largestOf(logProbs.map((own, u) => own - Math.log(p[tokens[u]]))), names[i]).toBeLessThan(3e-6);
      expect(Math.abs(entropy - entropyOf(p)), names[i]).toBeLessThan(3e-6);
    }
  });

  it('is what greedy has the log-probs and entropies of', async () => {
    const program = graphOf('greedy', {
      ...greedy(input('logits', 'float32', { prompt: 1, sample: rows.length, vocab: VOCAB })),
    });
    await engine.open(program);
    const { outputs } = await engine.run(program, { logits: Float32Array.from(rows.flatMap((row) => [...row])) });
    for (const [i, p] of rows.map((row) => probabilities(row)).entries()) {
      expect(outputs['token'][i], names[i]).toBe(BigInt(p.indexOf(largestOf([...p]))));
      expect(Math.abs(Number(outputs['logProb'][i]) - Math.log(largestOf([...p]))), names[i]).toBeLessThan(3e-6);
      expect(Math.abs(Number(outputs['entropy'][i]) - entropyOf(p)), names[i]).toBeLessThan(3e-6);
    }
  });

  it('has no running sum of more than 128 elements', () => {
    const [logits, uniform] = [
      input('logits', 'float32', { prompt: 1, sample: 1, vocab: VOCAB }),
      input('uniform', 'float32', { prompt: 1, sample: 1 }),
    ];
    const { token } = draw(logits, uniform, input('temperature', 'float32', {}), { topK: 50, topP: 0.9, minP: 0.1 });
    const running = reachable([token], dependencies).flatMap(({ op, inputs }) =>
      op.kind === 'cumsum' ? [sizeOf(inputs[0], op.over) as number] : [],
    );
    expect(running.length).toBeGreaterThan(0);
    expect(Math.max(...running)).toBeLessThanOrEqual(128);
  });
});

describe('any vocabulary', () => {
  const uniforms = [0, 2 ** -24, 0.125, 0.25, 0.4, 0.5, 0.61, 0.75, 0.875, 0.99, LARGEST];
  // Above 128 in two levels, some without divisors; coarse logits have ties.
  const vocabularies = fc
    .oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(127, 128, 129, 704, 1021))
    .chain((size) =>
      fc.record({
        logits: fc.oneof(
          fc.array(fc.integer({ min: -3, max: 3 }), { minLength: size, maxLength: size }),
          fc.array(fc.float({ min: -60, max: 60, noNaN: true }), { minLength: size, maxLength: size }),
        ),
        suppressed: fc.uniqueArray(fc.nat(size - 1), { maxLength: Math.min(size - 1, 5) }),
        limits: fc.record({
          topK: fc.constantFrom(0, 1, 3),
          topP: fc.constantFrom(1, 0.93, 0.5, 1e-6),
          minP: fc.constantFrom(0, 0.13),
        }),
      }),
    );

  it('gives the first token whose cumulative probability exceeds the uniform, of those that are left', async () => {
    await fc.assert(
      fc.asyncProperty(vocabularies, async ({ logits, suppressed, limits }) => {
        const asked = { ...limits, suppressed };
        const [{ tokens, logProbs, kept }] = await tell([Float32Array.from(logits)], uniforms, asked);
        const own = tempered(Float32Array.from(logits), asked);
        const reference = keptBy(own, limits);
        const alive = kept.map((flag, id) => flag && own[id] > -Infinity);
        expect(differing(alive, reference.kept, reference.near)).toEqual([]);
        const p = probabilities(own, (id) => alive[id]);
        expect(farthest(tokens, uniforms, p)).toBeLessThan(1e-6);
        expect(largestOf(logProbs.map((logProb, u) => logProb - Math.log(p[tokens[u]])))).toBeLessThan(1e-5);
      }),
      { numRuns: 40, seed: 5 },
    );
  });

  it.each([3, 129, 704, 1021])('of %i: logits that are no numbers give an id of it all the same', async (size) => {
    const [{ tokens }] = await tell([new Float32Array(size).fill(NaN)], uniforms);
    for (const token of tokens) expect(token >= 0 && token < size).toBe(true);
  });
});
