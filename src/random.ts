/**
 * Counter-based randomness: every draw is a pure function of its key, so order, batching and workers change nothing.
 */

const GOLDEN = 0x9e3779b9;

/** Mixes 32 bits so that neighbouring inputs give unrelated outputs (murmur3's finalizer). */
function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** 32-bit hash of a key; strings by their UTF-16 units, numbers by their integer part. */
export function hash(...key: Key): number {
  let h = GOLDEN;
  for (const part of key) {
    if (typeof part === 'number') h = mix(h ^ mix((part | 0) + GOLDEN)) + GOLDEN;
    else for (let i = 0; i < part.length; i++) h = Math.imul(h ^ part.charCodeAt(i), 0x01000193) + GOLDEN;
    h = mix(h);
  }
  return h >>> 0;
}

/** What a draw depends on. */
export type Key = readonly (string | number)[];

/** One uniform number in [0, 1) for a key, 24 bits, exact in float32. */
export function uniform(...key: Key): number {
  return (hash(...key) >>> 8) / 0x1000000;
}

/** A stream of draws that starts at a key; for generators that need many numbers in a fixed order. */
export interface Draws {
  /** Uniform in [low, high), 0 and 1 by default. */
  uniform(low?: number, high?: number): number;
  /** Integer in [low, high). */
  integer(low: number, high: number): number;
  /** Standard normal times `sigma`. */
  normal(sigma?: number): number;
}

/** Draws numbered 0, 1, 2 … under a key (sfc32 seeded by the key's hash). */
export function draws(...key: Key): Draws {
  let a = hash(...key, 1);
  let b = hash(...key, 2);
  let c = hash(...key, 3);
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return (sum >>> 0) / 0x100000000;
  };
  for (let i = 0; i < 12; i++) next();
  return {
    uniform: (low = 0, high = 1) => low + (high - low) * next(),
    integer: (low, high) => low + Math.floor((high - low) * next()),
    normal: (sigma = 1) => sigma * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  };
}

/** 0 … n-1 in an order that depends on the key alone. */
export function shuffled(n: number, ...key: Key): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(uniform(...key, i) * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
