import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { ReferringScores } from '../../src/metrics/referring.js';
import { goldenFolder } from './golden.js';

/** A folder of evaluation sets made of photos: `eval/refer` and so on; undefined where the full goldens are not. */
export function evalFolder(name: 'refer' | 'reason' | 'foreground'): string | undefined {
  const folder = join(goldenFolder(), 'eval', name);
  return existsSync(join(folder, 'expected.json')) ? folder : undefined;
}

export function jsonOf<T>(...path: string[]): T {
  return JSON.parse(readFileSync(join(...path), 'utf8')) as T;
}

export function linesOf<T>(...path: string[]): T[] {
  return readFileSync(join(...path), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}

export function namesIn(...path: string[]): string[] {
  return existsSync(join(...path)) ? readdirSync(join(...path)).toSorted() : [];
}

/** Set values as the goldens spell them, by convention; null where there is no sample of a kind. */
export type StoredScores = Readonly<Record<string, Readonly<Record<string, number | null>>>>;

/** Differences over 1e-9 between stored scores and ours; `P@0.7` is our `Pr@0.7`. */
export function differing(stored: StoredScores, got: Readonly<Record<string, ReferringScores>>): string[] {
  return Object.entries(stored).flatMap(([convention, values]) =>
    Object.entries(values).flatMap(([name, wanted]) => {
      const ours = got[convention]?.[name.replace('P@', 'Pr@').replace('_', '-') as keyof ReferringScores];
      const agrees = ours !== undefined && (wanted === null ? Number.isNaN(ours) : Math.abs(ours - wanted) < 1e-9);
      return agrees ? [] : [`${convention} ${name}: expected ${wanted}; got ${ours}`];
    }),
  );
}

/** The conventions of an entry of `expected.json`, without its counts. */
export function scoresOf(entry: Readonly<Record<string, unknown>>): StoredScores {
  return Object.fromEntries(Object.entries(entry).filter(([, value]) => typeof value === 'object')) as StoredScores;
}
