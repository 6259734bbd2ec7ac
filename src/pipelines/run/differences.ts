import { isDeepStrictEqual } from 'node:util';

/** A key on which two configurations differ; undefined where one lacks it. */
export interface Difference {
  readonly key: string;
  readonly before: unknown;
  readonly now: unknown;
}

/** Keys that change no row and no weight, whatever pipeline they are of. */
const INDIFFERENT = [
  /^policy\.(workers|threads)$/,
  /^segmenter\.threads$/,
  /^(policy|segmenter)\.memory$/,
  /^checkpoints\./,
  /^evaluate\.every$/,
  /^(tolerate|run)$/,
];

/**
 * Where two pipelines differ in what decides a run's rows and weights.
 *
 * @param before as `resolved` gives it; keys of stages are called `STAGE.OPTION`, those of a second such stage `STAGE
 * 2.OPTION`.
 * @param indifferent options that change neither, of a stage of that name, `a.b` for one inside of `a`.
 */
export function differences(
  before: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
  indifferent: (stage: string) => readonly string[] = () => [],
): Difference[] {
  const [was, is] = [leaves(before), leaves(now)];
  const keys = new Set([...was.keys(), ...is.keys()]);
  return [...keys]
    .filter((key) => !isIndifferent(key, indifferent) && !isDeepStrictEqual(was.get(key), is.get(key)))
    .map((key) => ({ key, before: was.get(key), now: is.get(key) }));
}

function isIndifferent(key: string, indifferent: (stage: string) => readonly string[]): boolean {
  const [, stage = '', option = ''] = /^(.*?)(?: \d+)?\.(.*)$/.exec(key) ?? [];
  return INDIFFERENT.some((pattern) => pattern.test(key)) || indifferent(stage).includes(option);
}

function leaves({ stages, ...settings }: Readonly<Record<string, unknown>>): Map<string, unknown> {
  const found = new Map<string, unknown>();
  collect(settings, '', found);
  const names: string[] = [];
  for (const entry of Array.isArray(stages) ? (stages as Record<string, unknown>[]) : []) {
    const [[name, options] = ['', undefined]] = Object.entries(entry);
    names.push(name);
    const before = names.filter((other) => other === name).length;
    collect(options, before === 1 ? name : `${name} ${before}`, found);
  }
  return found.set('stages', names);
}

/** Lists are values of their own. */
function collect(value: unknown, path: string, found: Map<string, unknown>): void {
  if (value === undefined) return;
  if (value === null || typeof value !== 'object' || Array.isArray(value)) found.set(path, value);
  else for (const [key, below] of Object.entries(value)) collect(below, path === '' ? key : `${path}.${key}`, found);
}
