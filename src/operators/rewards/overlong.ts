/** Bounds of the length penalty. */
export interface Overlong {
  /** Tokens at which the penalty reaches -1. */
  readonly max: number;
  /** Tokens before `max` at which it begins. */
  readonly cache: number;
}

/**
 * Soft penalty for long completions, in [-1, 0]: 0 up to `max - cache` tokens, from there in a straight line to -1 at
 * `max`.
 *
 * @param tokens of the completion, the end token included.
 * @see DAPO, arXiv:2503.14476, section 3.4.
 */
export function overlong(tokens: number, { max, cache }: Overlong): number {
  return Math.max(-1, Math.min(0, (max - cache - tokens) / cache));
}
