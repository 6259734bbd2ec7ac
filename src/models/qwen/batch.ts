import type { Data } from '../../tensor/graph.js';
import type { EncodedPrompt, TrainRow } from '../policy.js';
import type { QwenConfig } from './config.js';
import { mropePositions, textRotary } from './positions.js';
import type { PrefixShape } from './prefix.js';
import type { BatchShape } from './train.js';

/** Sizes are rounded up to these, so that few graphs serve many batches. */
const PROMPT_STEP = 8;
const COMPLETION_STEP = 16;

const rounded = (n: number, step: number): number => Math.ceil(n / step) * step;

/** Tokens that a prompt of `tokens` takes in a run, the padding before it included. */
export const promptLength = (tokens: number): number => rounded(tokens, PROMPT_STEP);

/** Indices of rows that can share a graph, each at most `size` long, in order. */
export function chunks(prompts: readonly EncodedPrompt[], size: number): number[][] {
  const open = new Map<string, number[]>();
  const all: number[][] = [];
  for (const [i, prompt] of prompts.entries()) {
    const key = JSON.stringify([prompt.images.map(({ grid }) => grid), rounded(prompt.tokens.length, PROMPT_STEP)]);
    const last = open.get(key);
    if (last && last.length < size) last.push(i);
    else {
      const fresh = [i];
      open.set(key, fresh);
      all.push(fresh);
    }
  }
  return all;
}

/**
 * Indices of rows that can share a training run of at most `size` rows and `tokens` tokens, and how many such a run has room for.
 *
 * Rows that are alike in length go together, for what is shorter is padded; a row that is longer than `tokens` goes alone.
 *
 * @param tokens padding included; no bound unless told.
 */
export function packed(rows: readonly TrainRow[], size: number, tokens = Infinity): { readonly indices: readonly number[]; readonly room: number }[] {
  const prompts = rows.map(({ prompt }) => prompt);
  if (tokens === Infinity) return chunks(prompts, size).map((indices) => ({ indices, room: size }));
  return chunks(prompts, Infinity).flatMap((alike) => {
    const cost = (indices: readonly number[]): number => {
      const part = indices.map((i) => rows[i] as TrainRow);
      const samples = Math.max(...part.map(({ completions }) => completions.length));
      return promptLength(Math.max(...part.map(({ prompt }) => prompt.tokens.length))) + samples * completionLength(part);
    };
    const runs: number[][] = [];
    for (const index of alike.toSorted((a, b) => cost([a]) - cost([b]) || a - b)) {
      const last = runs.at(-1);
      const more = [...(last ?? []), index];
      if (last && more.length <= Math.min(size, tokens / cost(more))) last.push(index);
      else runs.push([index]);
    }
    return runs.map((indices) => ({ indices, room: Math.max(indices.length, Math.min(size, Math.floor(tokens / cost(indices)))) }));
  });
}

/** @param prompts of one chunk; the graph has room for `size`. */
export function prefixShape(prompts: readonly EncodedPrompt[], size: number): PrefixShape {
  const grids = prompts[0]?.images.map(({ grid }) => grid) ?? [];
  const tokens = rounded(Math.max(...prompts.map((prompt) => prompt.tokens.length)), PROMPT_STEP);
  return { prompts: size, tokens, grids };
}

/** Completion length of a chunk's graph. */
export function completionLength(rows: readonly TrainRow[]): number {
  return rounded(Math.max(1, ...rows.flatMap((row) => row.completions.map((tokens) => tokens.length))), COMPLETION_STEP);
}

/**
 * Inputs of `readPrefix`; places without a prompt repeat the first one.
 *
 * @throws {ModelError} if a prompt has more or fewer image tokens than its images have features.
 */
export function prefixFeeds(config: QwenConfig, prompts: readonly EncodedPrompt[], shape: PrefixShape, next: number): Record<string, Data> {
  const half = config.text.headDim / 2;
  const rows = Array.from({ length: shape.prompts }, (_, i) => prompts[i] ?? (prompts[0] as EncodedPrompt));
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
      tokens[r * shape.tokens + i] = BigInt(ids[i] as number);
      if (ids[i] === config.tokens.image) visual[r * shape.tokens + i] = features++;
    }
    padding[r] = BigInt(pads);
    const { positions, delta } = mropePositions(ids, shape.grids, config, pads);
    const own = textRotary(positions, config.text);
    tables.cos.set(own.cos, r * shape.tokens * half);
    tables.sin.set(own.sin, r * shape.tokens * half);
    const following = textRotary(Int32Array.from({ length: 3 * next }, (_, i) => prompt.tokens.length + delta + (i % next)), config.text);
    ahead.cos.set(following.cos, r * next * half);
    ahead.sin.set(following.sin, r * next * half);
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
  const first = rows[0] as TrainRow;
  const written = new BigInt64Array(prompts * samples * length).fill(BigInt(pad));
  const feeds: Record<string, Data> = { written };
  const perToken = Object.keys(first.perToken);
  for (const name of perToken) feeds[name] = new Float32Array(prompts * samples * length);
  for (const name of Object.keys(first.perSample ?? {})) feeds[name] = new Float32Array(prompts * samples);
  for (const [name, value] of Object.entries(first.perPrompt ?? {})) feeds[name] = new Float32Array(prompts * value.length);
  for (const [r, row] of rows.entries()) {
    for (const [s, tokens] of row.completions.entries()) {
      const at = (r * samples + s) * length;
      for (const [t, token] of tokens.entries()) written[at + t] = BigInt(token);
      for (const name of perToken) (feeds[name] as Float32Array).set(row.perToken[name]?.[s] ?? [], at);
    }
    for (const [name, values] of Object.entries(row.perSample ?? {})) (feeds[name] as Float32Array).set(values, r * samples);
    for (const [name, value] of Object.entries(row.perPrompt ?? {})) (feeds[name] as Float32Array).set(value, r * value.length);
  }
  return feeds;
}
