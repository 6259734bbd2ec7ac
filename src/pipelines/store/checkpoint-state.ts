import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { z } from 'zod';

import { DataError } from '../../errors.js';
import { readSeal, SEAL } from '../../io/sealed-folder.js';
import type { RunFolder } from './run-folder.js';

const counts = z.record(z.string(), z.number());

/** Where a run stood at a checkpoint; `state.json`, beside the bytes and SHA-256 of the checkpoint's files. */
export const RunState = z.object({
  /** Version of the program that wrote it. */
  code: z.string(),
  /** SHA-256 of the run's `config.yaml`. */
  config: z.string(),
  step: z.int().min(1),
  /** Score by which `checkpoints.best` chooses, more is better; null if unknown. */
  score: z.number().nullable(),
  /** Last step after which an evaluation was due; 0 if none was. It may be incomplete. */
  evaluated: z.int().min(0).default(0),
  /** Rows that the source had emitted, and the ids of those in flight, which are made again. */
  source: z.object({ cursor: z.int().min(0), pending: z.array(z.string()) }),
  /** Rows that had left: the first `rowsOut` rows of the shards. */
  rows: z.object({
    rowsOut: z.int().min(0),
    marks: z.int().min(0),
    faults: z.int().min(0),
    tokens: z.int().min(0),
    unread: counts.default({}),
    marked: z.record(z.string(), counts),
  }),
  elapsed: z.number(),
  seconds: counts,
  /** State of stages, by name. */
  memory: z.record(z.string(), z.unknown()),
});
export type RunState = z.output<typeof RunState>;

/** A checkpoint's folder and what it says. */
export interface Saved {
  readonly folder: string;
  readonly state: RunState;
}

/** @throws {DataError} if a checkpoint's folder has no state, or another's. */
export async function readState(folder: string): Promise<RunState> {
  const state = RunState.safeParse(await readSeal(folder));
  if (state.success) return state.data;
  const [issue] = state.error.issues;
  throw new DataError(
    `${join(folder, SEAL)}  ${issue?.path.join('.')}: expected the state of a run; got another: ${issue?.message}`,
  );
}

/** SHA-256 of a run's `config.yaml`. */
export function configHash({ config }: RunFolder): string {
  return createHash('sha256').update(readFileSync(config)).digest('hex');
}

/** Version of this program. */
export function codeVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}

/**
 * Steps of checkpoints that need not stay: all but the `keep` newest and the one with the highest score (the newer of
 * equals).
 */
export function superseded(
  all: readonly { readonly step: number; readonly score: number | null }[],
  keep: number,
): number[] {
  const newest = all.toSorted((a, b) => b.step - a.step);
  const best = newest.reduce<{ step: number; score: number } | undefined>(
    (top, { step, score }) => (score !== null && (!top || score > top.score) ? { step, score } : top),
    undefined,
  );
  return newest.slice(keep).flatMap(({ step }) => (step === best?.step ? [] : [step]));
}
