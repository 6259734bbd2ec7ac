/** What a run reads, so that a resumed one reads the same: `inputs.json`. */
import { existsSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';

import { z } from 'zod';

import { DataError, messageOf, shortPath, UsageError } from '../../errors.js';
import { thisMachine } from '../../gpu/machine.js';
import { fingerprints, fingerprintsOfFiles } from '../../io/fingerprint.js';
import { replaceJson } from '../../io/manifest.js';
import { isOfModule, SEGMENTERS } from '../../models/segmenters.js';
import type { Pipeline } from '../config/read.js';
import { pathsOf } from '../stage.js';
import { codeVersion } from './checkpoint-state.js';
import type { RunFolder } from './run-folder.js';

const Inputs = z.object({
  /** Fingerprints of what decides rows and weights, by where the pipeline names it, then by file. */
  files: z.record(z.string(), z.record(z.string(), z.string())),
  /** What computes. */
  machine: z.record(z.string(), z.string()),
});
/** What a run reads, and what it runs on. */
export type Inputs = z.output<typeof Inputs>;

/** @throws {DataError} if a file can't be read. */
export async function inputsOf(pipeline: Pipeline): Promise<Inputs> {
  const files: Record<string, Record<string, string>> = {};
  const { settings, stages, evaluation } = pipeline;
  const { policy, segmenter } = settings;
  const take = async (name: string, path: unknown, read = fingerprints): Promise<void> => {
    for (const [key, file] of pathsIn(path, name)) files[key] = await read(file);
  };
  await take('policy.checkpoint', policy?.checkpoint);
  await take('policy.adapter', policy?.adapter);
  if (segmenter) {
    const paths = SEGMENTERS.find(({ name }) => name === segmenter['kind'])?.paths ?? [];
    for (const key of isOfModule(segmenter) ? ['module'] : paths) await take(`segmenter.${key}`, segmenter[key]);
  }
  await take('operators', settings.operators);
  for (const { name, stage, options } of stages) {
    const given = await stage.inputs?.(options, settings);
    if (given) files[name] = { ...given };
    for (const key of given ? [] : pathsOf(stage, options))
      await take(`${name}.${key}`, (options as Readonly<Record<string, unknown>>)[key], fingerprintsOfFiles);
  }
  if (evaluation) {
    const { files: others } = await inputsOf({
      ...evaluation,
      settings: { ...evaluation.settings, policy: undefined },
    });
    for (const [name, found] of Object.entries(others)) files[`${evaluation.name}: ${name}`] = found;
  }
  return { files, machine: machineOf(pipeline) };
}

/** The paths in an option: one, a list, or a map. */
function pathsIn(option: unknown, name: string): [name: string, path: string][] {
  if (typeof option === 'string') return [[name, option]];
  if (option === null || typeof option !== 'object') return [];
  return Object.entries(option).flatMap(([key, below]) => pathsIn(below, `${name}.${key}`));
}

function machineOf({ settings: { policy, segmenter } }: Pipeline): Record<string, string> {
  return {
    segr1: codeVersion(),
    'ONNX Runtime': thisMachine().onnxruntime.version,
    Node: process.versions.node,
    platform: `${process.platform}/${process.arch}`,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    device: [policy?.device, segmenter?.['device']].filter((device) => typeof device === 'string').join(', '),
  };
}

export async function writeInputs(folder: RunFolder, inputs: Inputs): Promise<void> {
  await replaceJson(folder.inputs, inputs);
}

/** Undefined for a run of an earlier version, which has none. @throws {DataError} if they can't be read. */
export function readInputs({ inputs }: RunFolder): Inputs | undefined {
  if (!existsSync(inputs)) return undefined;
  try {
    return Inputs.parse(JSON.parse(readFileSync(inputs, 'utf8')));
  } catch (error) {
    throw new DataError(`${shortPath(inputs)}  expected what the run began with; got ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/**
 * Compares what a run reads now with what it began with.
 *
 * @returns notices about another machine, which changes the last bits.
 * @throws {UsageError} for other files, a line each.
 */
export function checkInputs(folder: RunFolder, before: Inputs, now: Inputs): string[] {
  const where = shortPath(folder.inputs);
  const lines = differing(before.files, now.files, {}).flatMap(([name, was, is]) =>
    differing(was, is, 'none').map(
      ([file, old, got]) =>
        `${where}  ${name}: expected ${file} as the run began with it, ${brief(old)}; got ${brief(got)}`,
    ),
  );
  if (lines.length > 0)
    throw new UsageError(`${lines.join('\n')}\nway out: the files as they were, or another run, without --resume`);
  return differing(before.machine, now.machine, 'none').map(
    ([name, was, is]) =>
      `${where}  resume: the run began with ${name} ${was}, and goes on with ${is}: the last bits may differ from a run that was not interrupted`,
  );
}

/** Keys with different values. */
function differing<T>(
  before: Readonly<Record<string, T>>,
  now: Readonly<Record<string, T>>,
  none: T,
): [key: string, before: T, now: T][] {
  const keys = new Set([...Object.keys(before), ...Object.keys(now)]);
  return [...keys]
    .map((key): [string, T, T] => [key, before[key] ?? none, now[key] ?? none])
    .filter(([, was, is]) => JSON.stringify(was) !== JSON.stringify(is));
}

/** Eight digits tell two fingerprints apart; counts stay whole. */
function brief(value: string): string {
  return /^[\da-f]{64}$/.test(value) ? value.slice(0, 8) : value;
}
