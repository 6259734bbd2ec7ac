/** Numbers of a configuration beside what the weights' headers say. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { ModelError } from '../errors.js';
import { folderTensors, type Tensors } from '../io/safetensors.js';

/** A number that a configuration has, and the one that follows from the weights; undefined if nothing does. */
export interface Claim {
  /** As in the file. */
  readonly key: string;
  readonly got: number;
  readonly stored: number | undefined;
}

/** The headers of a folder's weights; undefined if it has none, which its opener says better. */
export async function storedTensors(dir: string): Promise<Tensors | undefined> {
  const files = ['model.safetensors', 'model.safetensors.index.json'];
  return files.some((name) => existsSync(join(dir, name))) ? await folderTensors(dir) : undefined;
}

/**
 * Compares before anything is made of the numbers: a file may say anything.
 *
 * @throws {ModelError} with the first key that the weights contradict.
 */
export function checkClaims(file: string, claims: readonly Claim[]): void {
  for (const { key, got, stored } of claims)
    if (stored !== undefined && got !== stored)
      throw new ModelError(`${file}  ${key}: expected ${stored}, as the weights have it; got ${got}`);
}

/**
 * Compares how often something is repeated: fewer than stored are fine, the others are not used then.
 *
 * @param prefix of the names, up to the number.
 * @throws {ModelError} if the weights have fewer than the configuration says.
 */
export function checkRepeated(
  file: string,
  key: string,
  got: number,
  { names }: Tensors,
  prefixes: readonly string[],
): void {
  const numbers = names.flatMap((name) => {
    const prefix = prefixes.find((one) => name.startsWith(one));
    const number = prefix === undefined ? NaN : Number.parseInt(name.slice(prefix.length), 10);
    return Number.isSafeInteger(number) ? [number] : [];
  });
  const stored = numbers.reduce((most, number) => Math.max(most, number + 1), 0);
  if (got > stored)
    throw new ModelError(`${file}  ${key}: expected at most ${stored}, as the weights have it; got ${got}`);
}
