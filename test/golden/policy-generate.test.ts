import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { EncodedPrompt, Sampling } from '../../src/models/policy.js';
import { prefixShape } from '../../src/models/vlm/batch.js';
import { readConfig } from '../../src/models/qwen2_5_vl/architecture.js';
import { prefixFeeds, seenIds } from '../../src/models/vlm/feeds.js';
import { openPolicy } from '../../src/models/policies.js';
import { rolloutGraph } from '../../src/models/vlm/rollout.js';
import { findWeights, lendWeights } from '../../src/models/vlm/weight-files.js';
import type { Engine } from '../../src/tensor/engine.js';
import { openEngine } from '../../src/tensor/engines.js';
import { farthest, folder, goldenRows, json, promptOf, rowsOf, stored } from './policy-cases.js';

interface Case {
  readonly kind: 'greedy' | 'inverse CDF';
  readonly temperature?: number;
  readonly eos_token_id: readonly number[];
  readonly repetition_penalty?: number;
  readonly top_k?: number;
  readonly top_p?: number;
}

/** A prompt, and the ids that the penalty falls on: in the golden rows the padding is one of them. */
type Asked = EncodedPrompt & { readonly seen: ReadonlySet<number> };

const KNOWN = new Set([
  'kind',
  'temperature',
  'eos_token_id',
  'repetition_penalty',
  'top_k',
  'top_p',
  'margin',
  'smallest_top2_margin',
]);
const cases = Object.entries(json<{ cases: Record<string, Case> }>('generate/cases.json').cases).map(
  ([name, options]) => ({ name, options }),
);

const config = await readConfig(join(folder, 'tiny-qwen2_5_vl'));
const golden = await stored('generate/batch.safetensors');
const rows = await goldenRows(golden, config);
const prompts = rows.map((row): Asked => ({ ...promptOf(row), seen: new Set(row.ids) }));
let engine: Engine;

beforeAll(async () => {
  engine = openEngine({ workers: 1, threads: 1 });
  await lendWeights(engine, 'policy', await findWeights(join(folder, 'tiny-qwen2_5_vl'), config));
});
afterAll(() => engine.release());

describe('rollouts agree with transformers', () => {
  it.each(cases)('$name', async ({ name, options }) => {
    const { tokens, logProbs, uniforms } = await expected(name, options);
    for (const [row, prompt] of prompts.entries()) {
      const [own] = await rollout([prompt], [[uniforms[row]]], tokens[row].length, options);
      expect(own[0].tokens).toEqual(tokens[row]);
      if (logProbs) expect(farthest(own[0].logProbs, logProbs[row])).toBeLessThan(1e-4);
    }
  });

  it('with one end and several, greedily and drawn', () => {
    expect(
      new Set(
        cases.map(
          ({ options }) => `${options.kind}, ${new Set(options.eos_token_id).size > 1 ? 'several ends' : 'one end'}`,
        ),
      ),
    ).toEqual(
      new Set(['greedy, one end', 'greedy, several ends', 'inverse CDF, one end', 'inverse CDF, several ends']),
    );
  });
});

it('nothing that a case asks for is passed over', () => {
  expect(
    cases.flatMap(({ name, options }) =>
      Object.keys(options)
        .filter((key) => !KNOWN.has(key))
        .map((key) => `${name}: ${key}`),
    ),
  ).toEqual([]);
});

/** Of the greedy cases that end where the checkpoint ends, the one with the strongest penalty. */
const penalised = cases
  .filter(
    ({ options }) =>
      options.kind === 'greedy' &&
      (options.repetition_penalty ?? 1) > 1 &&
      options.eos_token_id.every((id) => config.tokens.eos.includes(id)),
  )
  .toSorted((a, b) => (b.options.repetition_penalty ?? 1) - (a.options.repetition_penalty ?? 1));

describe("the policy's own padding", () => {
  // The longest row has no padding in the golden batch; the policy pads it to a size of its own.
  it.each(penalised.slice(0, 1))('is not seen by the penalty of $name', async ({ name, options }) => {
    const row = rows.findIndex(({ padding }) => padding === 0);
    const { tokens } = await expected(name, options);
    const end = tokens[row].findIndex((id) => config.tokens.eos.includes(id));
    const length = end >= 0 ? end + 1 : tokens[row].length;
    const policy = await openPolicy(join(folder, 'tiny-qwen2_5_vl'), {
      workers: 1,
      threads: 1,
      batch: 2,
      suppressed: [],
    });
    const [[own]] = await policy.generate({
      prompts: [prompts[row]],
      group: 1,
      temperature: 0,
      maxTokens: length,
      repetitionPenalty: options.repetition_penalty ?? 1,
      entropy: true,
    });
    await policy.release();
    expect(prefixShape([prompts[row]], 2).tokens).toBeGreaterThan(prompts[row].tokens.length);
    expect(own.tokens).toEqual(tokens[row].slice(0, length));
    expect(own.entropies).toHaveLength(length);
    for (const entropy of own.entropies ?? []) expect(entropy).toBeGreaterThan(0);
  });
});

describe('what else is in the batch changes nothing', () => {
  it.each(cases)('$name', async ({ name, options }) => {
    const { tokens, logProbs, uniforms } = await expected(name, options);
    for (const [row, prompt] of prompts.entries()) {
      const shorter = {
        ...prompt,
        tokens: prompt.tokens.filter((id, i) => i < 2 || i > 4 || id === config.tokens.image),
      };
      const backwards = uniforms.map((values) => values.toReversed());
      const together = await rollout(
        [shorter, prompt, prompt],
        [
          [backwards[row], uniforms[row]],
          [uniforms[row], backwards[row]],
          [backwards[row], uniforms[row]],
        ],
        tokens[row].length,
        options,
      );
      expect(together[1][0].tokens).toEqual(tokens[row]);
      expect(together[2][1].tokens).toEqual(tokens[row]);
      if (logProbs) expect(farthest(together[2][1].logProbs, logProbs[row])).toBeLessThan(1e-4);

      const [alone] = await rollout([shorter], [[backwards[row], uniforms[row]]], tokens[row].length, options);
      expect(together[0].map((one) => one.tokens)).toEqual(alone.map((one) => one.tokens));
    }
  });
});

async function expected(
  name: string,
  { kind }: Case,
): Promise<{ tokens: number[][]; logProbs?: number[][]; uniforms: number[][] }> {
  const width = golden.info(`${name}.tokens`).shape[1];
  const tokens = rowsOf(await golden.readI64(`${name}.tokens`), width).map((row) => row.map(Number));
  if (kind === 'greedy') return { tokens, uniforms: tokens.map((row) => row.map(() => 0)) };
  return {
    tokens,
    logProbs: rowsOf(await golden.read(`${name}.logp`), width),
    uniforms: rowsOf(await golden.read(`${name}.u`), width),
  };
}

/** @param uniforms [prompt][sample][token] @returns [prompt][sample], with the pad id and 0 behind an end. */
async function rollout(
  asked: readonly Asked[],
  uniforms: readonly (readonly (readonly number[])[])[],
  maxTokens: number,
  options: Case,
): Promise<{ tokens: number[]; logProbs: number[] }[][]> {
  const samples = uniforms[0].length;
  const greedy = options.kind === 'greedy';
  const { repetition_penalty: repetitionPenalty = 1, top_k: topK = 0, top_p: topP = 1 } = options;
  const sampling: Sampling = { repetitionPenalty, topK, topP };
  const shape = {
    ...prefixShape(asked, asked.length),
    samples,
    maxTokens,
    greedy,
    suppressed: [],
    ends: options.eos_token_id,
    ...sampling,
  };
  const program = rolloutGraph(config, shape);
  await engine.open(program);
  const drawn = {
    uniforms: Float32Array.from(uniforms.flat(2)),
    temperature: Float32Array.of(options.temperature ?? 1),
  };
  const seen =
    repetitionPenalty === 1
      ? {}
      : {
          seen: seenIds(
            asked.map((one) => one.seen),
            asked.length,
            config.text.vocab,
          ),
        };
  const { outputs } = await engine.run(program, {
    ...prefixFeeds(config, asked, shape, maxTokens),
    ...(greedy ? {} : drawn),
    ...seen,
  });
  await engine.close(program);
  const wide = asked.length * samples;
  const steps = outputs['written'].length / wide;
  const read = <T>(values: ArrayLike<T>, at: number, rest: number): number[] =>
    Array.from({ length: maxTokens }, (_, t) => (t < steps ? Number(values[t * wide + at]) : rest));
  return asked.map((_, p) =>
    Array.from({ length: samples }, (__, s) => ({
      tokens: read<number | bigint>(outputs['written'] as BigInt64Array, p * samples + s, config.tokens.pad),
      logProbs: read<number | bigint>(outputs['logProbs'] as Float32Array, p * samples + s, 0),
    })),
  );
}
