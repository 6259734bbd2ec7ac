import type { EncodedPrompt, TrainRow } from '../policy.js';
import type { PrefixShape } from './prefix.js';
import type { BatchShape } from './train.js';

/** Sizes are rounded up to these, so few graphs serve many batches. */
const PROMPT_STEP = 8;
const COMPLETION_STEP = 16;

const rounded = (n: number, step: number): number => Math.ceil(n / step) * step;

/** Tokens that a prompt of `tokens` takes in a run, the padding before it included. */
export const promptLength = (tokens: number): number => rounded(tokens, PROMPT_STEP);

/** Tokens that a completion of `tokens` takes in a training run, the padding behind it included. */
export const trainedLength = (tokens: number): number => rounded(Math.max(1, tokens), COMPLETION_STEP);

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

/** Prompts of more tokens are no common ones: their graph has no room for others. */
const LONG = 8192;

/**
 * How many prompts the graph of a chunk is for: `size`, so that the next chunk can have the same graph; a chunk of long
 * prompts has no places that stay empty, for each would cost as much as a prompt.
 */
export function roomFor(prompts: readonly EncodedPrompt[], size: number): number {
  return prompts.some(({ tokens }) => tokens.length > LONG) ? prompts.length : size;
}

/**
 * Indices of rows that can share a training run of at most `size` rows and `tokens` tokens, and how many such a run has
 * room for.
 *
 * Rows of similar length go together, since shorter ones are padded; a row longer than `tokens` goes alone.
 *
 * @param tokens padding included; no bound by default.
 */
export function packed(
  rows: readonly TrainRow[],
  size: number,
  tokens = Infinity,
): { readonly indices: readonly number[]; readonly room: number }[] {
  const prompts = rows.map(({ prompt }) => prompt);
  if (tokens === Infinity)
    return chunks(prompts, size).map((indices) => ({
      indices,
      room: roomFor(
        indices.map((i) => prompts[i]),
        size,
      ),
    }));
  return chunks(prompts, Infinity).flatMap((alike) => {
    const cost = (indices: readonly number[]): number => {
      const part = indices.map((i) => rows[i]);
      const samples = Math.max(...part.map(({ completions }) => completions.length));
      return (
        promptLength(Math.max(...part.map(({ prompt }) => prompt.tokens.length))) + samples * completionLength(part)
      );
    };
    const runs: number[][] = [];
    for (const index of alike.toSorted((a, b) => cost([a]) - cost([b]) || a - b)) {
      const last = runs.at(-1);
      const more = [...(last ?? []), index];
      if (last && more.length <= Math.min(size, tokens / cost(more))) last.push(index);
      else runs.push([index]);
    }
    return runs.map((indices) => ({
      indices,
      room: Math.max(indices.length, Math.min(size, Math.floor(tokens / cost(indices)))),
    }));
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
  return trainedLength(Math.max(0, ...rows.flatMap((row) => row.completions.map((tokens) => tokens.length))));
}

/** Rows of one training run, and the graph that they share. */
export interface Chunk {
  readonly indices: readonly number[];
  /** Rows that the graph is for. */
  readonly room: number;
  readonly part: readonly TrainRow[];
  readonly shape: BatchShape;
}

/** Training runs of at most `size` rows and `tokens` tokens. @param own settings of every run's graph. */
export function trainChunks(
  rows: readonly TrainRow[],
  size: number,
  tokens: number | undefined,
  own: Pick<BatchShape, 'suppressed' | 'gradientCheckpointing'>,
): Chunk[] {
  return packed(rows, size, tokens).map(({ indices, room }) => {
    const part = indices.map((i) => rows[i]);
    const prefix = prefixShape(
      part.map(({ prompt }) => prompt),
      room,
    );
    const samples = Math.max(...part.map(({ completions }) => completions.length));
    return { indices, room, part, shape: { ...prefix, samples, length: completionLength(part), ...own } };
  });
}
