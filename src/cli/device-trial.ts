/** The program that tries one device, in its own process, which a broken driver may end. Prints one line of JSON. */
import { availableParallelism } from 'node:os';

import { defined } from '../defined.js';
import { messageOf } from '../errors.js';
import type { CudaRuntime } from '../gpu/find.js';
import { freeMemory, listDevices } from '../gpu/devices.js';
import type { Precision } from '../tensor/graph.js';
import type { Engine } from '../tensor/engine.js';
import { openEngine } from '../tensor/engines.js';
import { matrixRun, measure } from './matrix-speed.js';

/** What is to be tried. */
export type Trial =
  | { readonly kind: 'list'; readonly driver: string }
  | { readonly kind: 'cpu' }
  | { readonly kind: 'cuda'; readonly index: number; readonly runtime: CudaRuntime };

/** Result of a trial: GFLOP/s by precision; an error for a failed one. */
export interface Tried {
  readonly speed: Readonly<Partial<Record<Precision, number>>>;
  readonly errors: readonly string[];
  /** Bytes free before the trial; of GPUs whose driver tells. */
  readonly free?: number;
}

/** Of each figure; a second once it is warm. */
const SECONDS = 1;

/** Bytes: enough for the matrices, and little enough for a shared card. */
const MEMORY = 2e9;

/** The CPU only has kernels for float32: halves are rounded there and computed in float32. */
const PRECISIONS = { cpu: ['float32'], cuda: ['float32', 'bfloat16', 'float16'] } as const;

async function tryDevice(trial: Exclude<Trial, { kind: 'list' }>): Promise<Tried> {
  const speed: Partial<Record<Precision, number>> = {};
  const errors: string[] = [];
  const free = trial.kind === 'cuda' ? freeMemory(trial.runtime.libraries[0] ?? '', trial.index) : undefined;
  const engine = await engineOn(trial);
  for (const precision of PRECISIONS[trial.kind]) {
    try {
      speed[precision] = await measure(engine, matrixRun(trial.kind, precision), SECONDS);
    } catch (error) {
      errors.push(messageOf(error));
    }
  }
  await engine.release();
  return { speed, errors: [...new Set(errors)], ...defined({ free }) };
}

/** @throws {Error} if this version does not support the device: the figures would be the CPU's. */
async function engineOn(trial: Exclude<Trial, { kind: 'list' }>): Promise<Engine> {
  if (trial.kind === 'cpu') return openEngine({ workers: 1, threads: availableParallelism() });
  const options = {
    workers: 1,
    threads: 1,
    device: { kind: 'cuda', index: trial.index, memory: MEMORY, libraries: trial.runtime },
  } as const;
  const engine = openEngine(options);
  if (engine.traits.device === 'cuda') return engine;
  await engine.release();
  throw new Error(`cuda:${trial.index}: expected an engine that computes there; got one for the CPU`);
}

const trial = JSON.parse(process.argv[2] ?? '') as Trial;
const answer = async (): Promise<unknown> => (trial.kind === 'list' ? listDevices(trial.driver) : tryDevice(trial));
const told = await answer().then(
  (value) => ({ value }),
  (error: unknown) => ({ error: messageOf(error) }),
);
process.stdout.write(`\n${JSON.stringify(told)}\n`);
