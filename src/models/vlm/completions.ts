import type { RunResult } from '../../tensor/engine.js';
import type { GeneratedCompletion } from '../policy.js';
import type { VlmConfig } from './architecture.js';
import type { RolloutShape } from './rollout.js';
import type { Tokenizer } from './tokenizer.js';

/**
 * Ids that mean vision or padding, and those above the tokenizer's: in a completion they would break the next reading.
 */
export function suppressedIds({ text, tokens }: VlmConfig, tokenizer: Tokenizer): number[] {
  const meant = [...tokens.reserved, tokens.pad].filter((id) => !tokens.eos.includes(id));
  const unnamed = Array.from({ length: Math.max(0, text.vocab - tokenizer.size) }, (_, i) => tokenizer.size + i);
  return [...new Set([...meant.filter((id) => id < text.vocab), ...unnamed])];
}

/** [step, prompt, sample] → completions, each up to its end. */
export function completions(
  { outputs, version }: RunResult,
  shape: RolloutShape,
  prompts: number,
): GeneratedCompletion[][] {
  const ids = outputs['written'] as BigInt64Array;
  const logs = outputs['logProbs'] as Float32Array;
  const entropies = outputs['entropies'] as Float32Array | undefined;
  const wide = shape.prompts * shape.samples;
  const steps = ids.length / wide;
  const one = (at: number): GeneratedCompletion => {
    const own = <T>(values: ArrayLike<T>, n: number): number[] =>
      Array.from({ length: n }, (_, t) => Number(values[t * wide + at]));
    const all = own<number | bigint>(ids, steps);
    const end = all.findIndex((token) => shape.ends.includes(token));
    const tokens = end < 0 ? all : all.slice(0, end + 1);
    const n = tokens.length;
    return {
      tokens,
      logProbs: own(logs, n),
      ...(entropies ? { entropies: own(entropies, n) } : {}),
      finish: end < 0 ? 'length' : 'stop',
      version,
    };
  };
  return Array.from({ length: prompts }, (_, p) =>
    Array.from({ length: shape.samples }, (__, s) => one(p * shape.samples + s)),
  );
}
