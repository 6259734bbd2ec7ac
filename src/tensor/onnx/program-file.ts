import type { GraphFile, TensorSpec } from '../engine.js';

/** An input or output as a runtime reports it. */
export interface Described {
  readonly name: string;
  /** Type of its elements, or `no tensor`. */
  readonly type: string;
}

/** The difference between an opened file and its declared inputs and outputs; undefined if there is none. */
export function mismatch(
  { file, inputs, outputs }: GraphFile,
  asks: readonly Described[],
  gives: readonly Described[],
): string | undefined {
  const expected = (all: readonly TensorSpec[]): string[] => all.map(({ name, dtype }) => `${name} (${dtype})`);
  const got = (all: readonly Described[]): string[] => all.map(({ name, type }) => `${name} (${type})`);
  for (const [what, own, found, exact] of [
    ['inputs', expected(inputs), got(asks), true],
    ['outputs', expected(outputs), got(gives), false],
  ] as const) {
    if (own.every((one) => found.includes(one)) && (!exact || own.length === found.length)) continue;
    return `${file}: expected the ${what} ${own.join(', ')}; got ${found.join(', ')}`;
  }
  return undefined;
}
