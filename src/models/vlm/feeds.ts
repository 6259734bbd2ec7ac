import type { Data } from '../../tensor/graph.js';
import { UsageError } from '../../errors.js';
import { uniform } from '../../random.js';
import type { EncodedPrompt, GenerateRequest, Randomness, TrainRow } from '../policy.js';
import type { VlmConfig } from './architecture.js';
import type { PrefixShape } from './prefix.js';
import type { RolloutShape } from './rollout.js';
import type { BatchShape } from './train.js';

/**
 * Inputs of `readPrefix`; places without a prompt repeat the first one.
 *
 * @throws {ModelError} if a prompt has more or fewer image tokens than its images have features.
 */
export function prefixFeeds(
  config: VlmConfig,
  prompts: readonly EncodedPrompt[],
  shape: PrefixShape,
  next: number,
): Record<string, Data> {
  const half = config.text.headDim / 2;
  const rows = Array.from({ length: shape.prompts }, (_, i) => prompts[i] ?? prompts[0]);
  const tokens = new BigInt64Array(rows.length * shape.tokens).fill(BigInt(config.tokens.pad));
  const visual = new BigInt64Array(tokens.length).fill(-1n);
  const padding = new BigInt64Array(rows.length);
  const tables = { cos: new Float32Array(tokens.length * half), sin: new Float32Array(tokens.length * half) };
  const ahead = { cos: new Float32Array(rows.length * next * half), sin: new Float32Array(rows.length * next * half) };
  let features = 0n;
  for (const [r, prompt] of rows.entries()) {
    const pads = shape.tokens - prompt.tokens.length;
    const ids = Int32Array.from({ length: shape.tokens }, (_, i) => prompt.tokens[i - pads] ?? config.tokens.pad);
    for (let i = pads; i < shape.tokens; i++) {
      tokens[r * shape.tokens + i] = BigInt(ids[i]);
      if (ids[i] === config.tokens.image) visual[r * shape.tokens + i] = features++;
    }
    padding[r] = BigInt(pads);
    const rotary = config.architecture.rotary(ids, shape.grids, config, pads, next);
    tables.cos.set(rotary.prompt.cos, r * shape.tokens * half);
    tables.sin.set(rotary.prompt.sin, r * shape.tokens * half);
    ahead.cos.set(rotary.next.cos, r * next * half);
    ahead.sin.set(rotary.next.sin, r * next * half);
  }
  const feeds: Record<string, Data> = { tokens, padding, ...tables, nextCos: ahead.cos, nextSin: ahead.sin };
  if (shape.grids.length === 0) return feeds;
  return { ...feeds, visual, pixels: joined(rows.flatMap(({ images }) => images.map(({ pixels }) => pixels))) };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Inputs of a training graph beside the prefix's; places without a row have weight 0 everywhere. */
export function completionFeeds(rows: readonly TrainRow[], shape: BatchShape, pad: number): Record<string, Data> {
  const { prompts, samples, length } = shape;
  const first = rows[0];
  const written = new BigInt64Array(prompts * samples * length).fill(BigInt(pad));
  const feeds: Record<string, Data> = { written };
  const perToken = Object.keys(first.perToken);
  for (const name of perToken) feeds[name] = new Float32Array(prompts * samples * length);
  for (const name of Object.keys(first.perSample ?? {})) feeds[name] = new Float32Array(prompts * samples);
  for (const [name, value] of Object.entries(first.perPrompt ?? {}))
    feeds[name] = new Float32Array(prompts * value.length);
  for (const [r, row] of rows.entries()) {
    for (const [s, tokens] of row.completions.entries()) {
      const at = (r * samples + s) * length;
      for (const [t, token] of tokens.entries()) written[at + t] = BigInt(token);
      for (const name of perToken) (feeds[name] as Float32Array).set(row.perToken[name]?.[s] ?? [], at);
    }
    for (const [name, values] of Object.entries(row.perSample ?? {}))
      (feeds[name] as Float32Array).set(values, r * samples);
    for (const [name, value] of Object.entries(row.perPrompt ?? {}))
      (feeds[name] as Float32Array).set(value, r * value.length);
  }
  return feeds;
}

/** Inputs of `gradientGraph` and `scoreGraph`. */
export function trainFeeds(
  config: VlmConfig,
  rows: readonly TrainRow[],
  shape: BatchShape,
  temperature: number,
): Record<string, Data> {
  const prefix = prefixFeeds(
    config,
    rows.map(({ prompt }) => prompt),
    shape,
    shape.length,
  );
  return { ...prefix, ...completionFeeds(rows, shape, config.tokens.pad), temperature: Float32Array.of(temperature) };
}

/**
 * Inputs of `rolloutGraph`.
 *
 * @param indices of the prompts in `random`.
 */
export function rolloutFeeds(
  config: VlmConfig,
  prompts: readonly EncodedPrompt[],
  indices: readonly number[],
  shape: RolloutShape,
  { temperature, random }: Pick<GenerateRequest, 'temperature' | 'random'>,
): Record<string, Data> {
  const { samples, maxTokens } = shape;
  const feeds = prefixFeeds(config, prompts, shape, maxTokens);
  if ((shape.repetitionPenalty ?? 1) !== 1)
    feeds['seen'] = seenIds(
      prompts.map(({ tokens }) => tokens),
      shape.prompts,
      config.text.vocab,
    );
  if (shape.greedy) return feeds;
  const uniforms = new Float32Array(shape.prompts * samples * maxTokens);
  for (const [p, index] of indices.entries())
    uniforms.set(uniformsOf(random, index, samples, maxTokens), p * samples * maxTokens);
  return { ...feeds, uniforms, temperature: Float32Array.of(temperature) };
}

/** The draws of one prompt, [sample × token]. */
function uniformsOf(random: Randomness | undefined, prompt: number, samples: number, tokens: number): Float32Array {
  const given = random && ('keys' in random ? random.keys : random.uniforms)[prompt];
  if (given instanceof Float32Array && given.length === samples * tokens) return given;
  if (!given || given instanceof Float32Array)
    throw new UsageError(
      `generate  random: expected ${samples} × ${tokens} draws, or a key, for the prompt ${prompt}; got ${given ? given.length : 'none'}`,
    );
  return Float32Array.from({ length: samples * tokens }, (_, i) =>
    uniform(...given, Math.floor(i / tokens), i % tokens),
  );
}

/**
 * Ids that the repetition penalty applies to from the start: [prompt, vocab].
 *
 * @param ids of each prompt, without padding, which depends on the batch.
 * @param places number of prompts of the graph.
 */
export function seenIds(ids: readonly Iterable<number>[], places: number, vocab: number): Uint8Array {
  const seen = new Uint8Array(places * vocab);
  for (const [p, own] of ids.entries()) for (const id of own) seen[p * vocab + id] = 1;
  return seen;
}
