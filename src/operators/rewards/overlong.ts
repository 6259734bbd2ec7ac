/** When an answer begins to be too long. */
export interface Overlong {
  /** Tokens at which the penalty is whole. */
  readonly max: number;
  /** Tokens before `max` at which it begins. */
  readonly cache: number;
}

/**
 * Soft penalty of long answers, in [-1, 0]: 0 up to `max - cache` tokens, from there in a straight line to -1 at `max`.
 *
 * @param tokens of the answer, the end token included.
 * @see DAPO, arXiv:2503.14476, section 3.4.
 */
export function overlong(tokens: number, { max, cache }: Overlong): number {
  return Math.max(-1, Math.min(0, (max - cache - tokens) / cache));
}
