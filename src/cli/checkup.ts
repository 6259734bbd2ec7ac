import { execFile, type ExecFileException } from 'node:child_process';
import { availableParallelism, cpus, freemem } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { defined } from '../defined.js';
import { messageOf } from '../errors.js';
import type { GpuDevice } from '../gpu/devices.js';
import { hostMemory } from '../gpu/host-memory.js';
import { surveyCuda, type CudaRuntime, type CudaSurvey, type Missing } from '../gpu/find.js';
import { thisMachine, type Machine } from '../gpu/machine.js';
import { diskSpeed, type DiskSpeed } from '../io/disk-speed.js';
import { codeVersion } from '../pipelines/store/checkpoint-state.js';
import type { Precision } from '../tensor/graph.js';
import type { Trial, Tried } from './device-trial.js';

/** A device of an engine, and the result of its trial. */
export interface DeviceReport {
  readonly engine: 'onnx';
  /** Its name in `policy.device`. */
  readonly device: string;
  readonly name: string;
  /** Of the engine. */
  readonly version: string;
  /** Whether it ran a graph with the right result. */
  readonly works: boolean;
  /** GFLOP/s of matrix products, by precision; only those that the device has kernels for. */
  readonly speed: Readonly<Partial<Record<Precision, number>>>;
  /** What went wrong. */
  readonly errors: readonly string[];
  /** Of GPUs: bytes, the driver's version where it is known, and the compute capability. */
  readonly memory?: number;
  readonly free?: number;
  readonly driver?: string;
  readonly capability?: string;
}

/** The report of `segr1 doctor`. */
export interface Checkup {
  readonly segr1: string;
  readonly node: string;
  readonly cpu: { readonly model: string; readonly cores: number };
  /** Bytes; `total` is what this process may use, which a container may limit. */
  readonly memory: { readonly total: number; readonly free: number };
  readonly disk: DiskSpeed | { readonly folder: string; readonly error: string };
  readonly devices: readonly DeviceReport[];
  /** What CUDA lacks here. */
  readonly missing: readonly Missing[];
}

/** Runs one trial. @throws {Error} if there was no answer. */
export type Attempt = (trial: Trial) => Promise<unknown>;

export interface CheckupOptions {
  readonly machine?: Machine;
  /** In a process of its own by default. */
  readonly attempt?: Attempt;
  /** Whose disk is measured; `runs` by default. */
  readonly runs?: string;
}

/**
 * Examines the machine and tries every device: a few seconds without a GPU. GPUs are tried in parallel, after the CPU,
 * whose figure they would distort.
 */
export async function checkUp({
  machine = thisMachine(),
  attempt = inOwnProcess,
  runs = 'runs',
}: CheckupOptions = {}): Promise<Checkup> {
  const cpu = { model: cpus()[0]?.model.trim() ?? 'unknown', cores: availableParallelism() };
  const disk = measuredDisk(runs);
  const first = deviceReport(
    { device: 'cpu', name: cpu.model, version: machine.onnxruntime.version },
    await tried(attempt, { kind: 'cpu' }),
  );
  const survey = surveyCuda(machine);
  const gpus = await tryGpus(survey, machine.onnxruntime.version, attempt);
  return {
    segr1: codeVersion(),
    node: process.versions.node,
    cpu,
    memory: memory(),
    disk,
    devices: [first, ...gpus],
    missing: survey.missing,
  };
}

async function tryGpus(survey: CudaSurvey, version: string, attempt: Attempt): Promise<DeviceReport[]> {
  const { driver } = survey;
  if (!driver) return [];
  const common = { version, ...defined({ driver: driver.version }) };
  const runtime = runtimeOf(survey);
  const trial = (index: number): Promise<Tried> =>
    runtime ? tried(attempt, { kind: 'cuda', index, runtime }) : Promise.resolve({ speed: {}, errors: [] });
  try {
    const listed = (await attempt({ kind: 'list', driver: driver.library })) as readonly GpuDevice[];
    return await Promise.all(
      listed.map(async ({ index, name, memory, capability }) =>
        deviceReport({ ...common, device: `cuda:${index}`, name, memory, capability }, await trial(index)),
      ),
    );
  } catch (error) {
    // A driver that lists no device may still have one.
    const { speed, errors, free } = await trial(0);
    const report = deviceReport(
      { ...common, device: 'cuda:0', name: 'unknown' },
      { speed, errors: [messageOf(error), ...errors], ...defined({ free }) },
    );
    return [report];
  }
}

function runtimeOf({ driver, provider, libraries, missing }: CudaSurvey): CudaRuntime | undefined {
  if (!provider || missing.length > 0) return undefined;
  return {
    runtime: provider.runtime,
    provider: provider.folder,
    libraries,
    cuda: provider.cuda,
    driver: driver?.version,
  };
}

function deviceReport(
  about: Omit<DeviceReport, 'engine' | 'works' | 'speed' | 'errors'>,
  { speed, errors, free }: Tried,
): DeviceReport {
  return {
    engine: 'onnx',
    ...about,
    ...defined({ free }),
    works: speed.float32 !== undefined,
    speed,
    errors,
  };
}

async function tried(attempt: Attempt, trial: Trial): Promise<Tried> {
  return attempt(trial).then(
    (value) => value as Tried,
    (error: unknown) => ({ speed: {}, errors: [messageOf(error)] }),
  );
}

/** A minute, for 2 GB of libraries on a slow disk. */
const LIMIT = 60_000;

/** @throws {Error} with the output of the trial's process, or how it ended. */
function inOwnProcess(trial: Trial): Promise<unknown> {
  const program = fileURLToPath(new URL('./device-trial.js', import.meta.url));
  return new Promise((done, fail) => {
    execFile(
      process.execPath,
      [program, JSON.stringify(trial)],
      { timeout: LIMIT, killSignal: 'SIGKILL', maxBuffer: 1 << 24 },
      (error, stdout, stderr) => {
        const line = stdout.trim().split('\n').at(-1) ?? '';
        const answer = line.startsWith('{') ? (JSON.parse(line) as { value?: unknown; error?: string }) : undefined;
        if (answer?.error !== undefined) fail(new Error(answer.error));
        else if (answer) done(answer.value);
        else
          fail(
            new Error(
              `trial of ${trial.kind}: expected an answer; got ${endOf(error)}${stderr.trim() === '' ? '' : `: ${stderr.trim().split('\n').at(-1)}`}`,
            ),
          );
      },
    );
  });
}

function endOf(error: ExecFileException | null): string {
  if (error?.killed === true) return `none in ${LIMIT / 1000} s`;
  return typeof error?.signal === 'string'
    ? `a process that ended by ${error.signal}`
    : `a process that ended with ${error?.code ?? 0}`;
}

function measuredDisk(runs: string): Checkup['disk'] {
  try {
    return diskSpeed(runs);
  } catch (error) {
    return { folder: resolve(runs), error: messageOf(error) };
  }
}

function memory(): Checkup['memory'] {
  const total = hostMemory();
  return { total, free: Math.min(freemem(), total) };
}
