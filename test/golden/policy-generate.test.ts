import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { EncodedPrompt } from '../../src/models/policy.js';
import { prefixFeeds, prefixShape } from '../../src/models/qwen/batch.js';
import { loadWeights } from '../../src/models/qwen/checkpoint.js';
import { readConfig } from '../../src/models/qwen/config.js';
import { rolloutProgram } from '../../src/models/qwen/rollout.js';
import { openEngine, type Engine } from '../../src/tensor/session.js';
import { farthest, folder, goldenRows, json, promptOf, rowsOf, stored } from './policy-cases.js';

interface Case {
  readonly kind: 'greedy' | 'inverse CDF';
  readonly temperature?: number;
  readonly eos_token_id: readonly number[];
  readonly repetition_penalty?: number;
}

const KNOWN = new Set(['kind', 'temperature', 'eos_token_id', 'margin', 'smallest_top2_margin']);
const cases = Object.entries(json<{ cases: Record<string, Case> }>('generate/cases.json').cases).map(([name, { repetition_penalty: penalty = 1, ...options }]) => ({
  name,
  options,
  lacks: [...Object.keys(options).filter((key) => !KNOWN.has(key)), ...(penalty === 1 ? [] : ['repetition_penalty'])],
}));
const supported = cases.filter(({ lacks }) => lacks.length === 0);
const others = cases.filter(({ lacks }) => lacks.length > 0);

const config = await readConfig(join(folder, 'tiny-qwen2_5_vl'));
const golden = await stored('generate/batch.safetensors');
const prompts = (await goldenRows(golden, config)).map(promptOf);
let engine: Engine;

beforeAll(async () => {
  engine = openEngine({ workers: 1, threads: 1 });
  const { layout, values } = await loadWeights(join(folder, 'tiny-qwen2_5_vl'), config);
  await engine.parameters('policy', layout, values);
});
afterAll(() => engine.release());

describe('rollouts agree with transformers', () => {
  it.each(supported)('$name', async ({ name, options }) => {
    const { tokens, logProbs, uniforms } = await expected(name, options);
    for (const [row, prompt] of prompts.entries()) {
      const [own] = await rollout([prompt], [[uniforms[row]]], tokens[row].length, options);
      expect(own[0].tokens).toEqual(tokens[row]);
      if (logProbs) expect(farthest(own[0].logProbs, logProbs[row])).toBeLessThan(1e-4);
    }
  });

  it('with one end and several, greedily and drawn', () => {
    expect(new Set(supported.map(({ options }) => `${options.kind} ${new Set(options.eos_token_id).size}`))).toEqual(new Set(['greedy 1', 'greedy 2', 'inverse CDF 1', 'inverse CDF 2']));
  });
});

describe('not supported yet', () => {
  it.skipIf(others.length === 0)(others.map(({ name, lacks }) => `${name} (${lacks.join(', ')})`).join('; '), () => {
    expect(others.flatMap(({ lacks }) => lacks).filter((key) => !['repetition_penalty', 'top_k', 'top_p'].includes(key))).toEqual([]);
  });
});

describe('what else is in the batch changes nothing', () => {
  it.each(supported)('$name', async ({ name, options }) => {
    const { tokens, logProbs, uniforms } = await expected(name, options);
    for (const [row, prompt] of prompts.entries()) {
      const shorter = { ...prompt, tokens: prompt.tokens.filter((id, i) => i < 2 || i > 4 || id === config.tokens.image) };
      const backwards = uniforms.map((values) => values.toReversed());
      const together = await rollout([shorter, prompt, prompt], [[backwards[row], uniforms[row]], [uniforms[row], backwards[row]], [backwards[row], uniforms[row]]], tokens[row].length, options);
      expect(together[1][0].tokens).toEqual(tokens[row]);
      expect(together[2][1].tokens).toEqual(tokens[row]);
      if (logProbs) expect(farthest(together[2][1].logProbs, logProbs[row])).toBeLessThan(1e-4);

      const [alone] = await rollout([shorter], [[backwards[row], uniforms[row]]], tokens[row].length, options);
      expect(together[0].map((one) => one.tokens)).toEqual(alone.map((one) => one.tokens));
    }
  });
});

async function expected(name: string, { kind }: Case): Promise<{ tokens: number[][]; logProbs?: number[][]; uniforms: number[][] }> {
  const width = golden.info(`${name}.tokens`).shape[1];
  const tokens = rowsOf(await golden.readI64(`${name}.tokens`), width).map((row) => row.map(Number));
  if (kind === 'greedy') return { tokens, uniforms: tokens.map((row) => row.map(() => 0)) };
  return { tokens, logProbs: rowsOf(await golden.read(`${name}.logp`), width), uniforms: rowsOf(await golden.read(`${name}.u`), width) };
}

/** @param uniforms [prompt][sample][token] @returns [prompt][sample], with the pad id and 0 behind an end. */
async function rollout(asked: readonly EncodedPrompt[], uniforms: readonly (readonly (readonly number[])[])[], maxTokens: number, options: Case): Promise<{ tokens: number[]; logProbs: number[] }[][]> {
  const samples = uniforms[0].length;
  const greedy = options.kind === 'greedy';
  const shape = { ...prefixShape(asked, asked.length), samples, maxTokens, greedy, suppressed: [], ends: options.eos_token_id };
  const program = rolloutProgram(config, shape);
  await engine.open(program);
  const drawn = { uniforms: Float32Array.from(uniforms.flat(2)), temperature: Float32Array.of(options.temperature ?? 1) };
  const { outputs } = await engine.run(program, { ...prefixFeeds(config, asked, shape, maxTokens), ...(greedy ? {} : drawn) });
  await engine.close(program);
  const wide = asked.length * samples;
  const steps = outputs['written'].length / wide;
  const read = <T>(values: ArrayLike<T>, at: number, rest: number): number[] => Array.from({ length: maxTokens }, (_, t) => (t < steps ? Number(values[t * wide + at]) : rest));
  return asked.map((_, p) =>
    Array.from({ length: samples }, (__, s) => ({
      tokens: read<number | bigint>(outputs['written'] as BigInt64Array, p * samples + s, config.tokens.pad),
      logProbs: read<number | bigint>(outputs['logProbs'] as Float32Array, p * samples + s, 0),
    })),
  );
}
