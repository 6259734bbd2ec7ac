import { sizeOf, type Tensor } from '../../tensor/graph.js';
import { div, inChunks, logSoftmaxByBlocks, merge, split } from '../../tensor/ops.js';
import type { VlmConfig } from './architecture.js';
import { suppress } from './sample.js';
import { head } from './decoder.js';
import type { Weights } from './weights.js';

/** Logits that exist at once, 64 MiB of them: with a large vocabulary they would dominate the memory of training. */
export const LOGITS = 2 ** 24;

/** Values of each written token, made from the log-probs of all its rivals, [… , vocab], and its own id, [… ]. */
export type Score = <Key extends string>(
  of: (logProbs: Tensor, written: Tensor) => Readonly<Record<Key, Tensor>>,
) => Readonly<Record<Key, Tensor>>;

/** Inputs for scoring written tokens. */
export interface Scored {
  /** [prompt, sample, token, width]: before the last norm, one token before each that was written. */
  readonly hidden: Tensor;
  /** int64 [prompt, sample, token] */
  readonly written: Tensor;
  /** Scalar; divides the logits. */
  readonly temperature: Tensor;
  readonly suppressed: readonly number[];
  /** Most logits at once; 2^24 by default. */
  readonly logits?: number | undefined;
}

/** Scores tokens in chunks, so only one chunk's logits exist at once, forward or backward. */
export function scoring(
  weights: Weights,
  config: VlmConfig,
  { hidden, written, temperature, suppressed, logits = LOGITS }: Scored,
): Score {
  const logProbs = (x: Tensor): Tensor =>
    logSoftmaxByBlocks(div(suppress(head(weights, config, x), suppressed), temperature), 'vocab');
  const place = ['prompt', 'sample', 'token'];
  const sizes = Object.fromEntries(place.map((name) => [name, sizeOf(written, name) as number]));
  const most = Math.max(1, Math.floor(logits / config.text.vocab));
  const tokens = Object.values(sizes).reduce((product, size) => product * size, 1);
  return (of) => {
    if (tokens <= most) return of(logProbs(hidden), written);
    const flat = [hidden, written].map((x) => merge(x, place, 'token')) as [Tensor, Tensor];
    const values = inChunks('token', most, flat, (x, own) => of(logProbs(x), own));
    return Object.fromEntries(
      Object.entries<Tensor>(values).map(([name, value]) => [name, split(value, 'token', sizes)]),
    ) as typeof values;
  };
}
