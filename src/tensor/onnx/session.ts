/** Runs emitted graphs on ONNX Runtime, in worker threads: `run` there blocks its own thread and no other. */
import { piecesOf, type AdamOptions, type AdamPiece } from '../adamw.js';
import type { Data, Place } from '../graph.js';
import type { NativeLibraries } from './native/libraries.js';
import { emit, type Dialect, type Program, type ProgramFile } from './emit.js';
import { add, input } from '../ops.js';
import type { MemoryUse } from './runtime.js';
import { findCudaRuntime } from '../../gpu/find.js';
import { workers, type Workers } from '../../workers.js';

/** Where each tensor of a parameter set lies in one flat float32 array. */
export interface Layout {
  readonly entries: readonly {
    readonly name: string;
    readonly sizes: readonly number[];
    readonly offset: number;
    readonly length: number;
  }[];
  /** Elements in all. */
  readonly length: number;
}

/** Lays tensors out one behind the other, in the given order. */
export function layoutOf(tensors: readonly { readonly name: string; readonly sizes: readonly number[] }[]): Layout {
  let length = 0;
  const entries = tensors.map(({ name, sizes }) => {
    const size = sizes.reduce((product, n) => product * n, 1);
    length += size;
    return { name, sizes, offset: length - size, length: size };
  });
  return { entries, length };
}

/**
 * A graph's outputs whose names begin so are gathered into one flat array, laid out as the first parameter set of the
 * run.
 */
export const GRADIENT = 'gradient:';

/** An output that stayed where it was computed. */
export type Kept = { readonly id: number } | { readonly data: Data };

/**
 * Inputs that are called so, with a parameter's name behind, are what the gradients of runs before have come to; the
 * graph adds its own.
 */
export const SUM = 'sum:';

export type Feeds = Readonly<Record<string, Data | Kept>>;

export interface RunResult {
  readonly outputs: Readonly<Record<string, Data>>;
  /** Outputs that a run was asked to keep; they are none of `outputs`. */
  readonly kept?: Readonly<Record<string, Kept>>;
  /** Sizes as they came back; a loop that ended early has fewer steps. */
  readonly sizes: Readonly<Record<string, readonly number[]>>;
  /**
   * Gradients in the layout of the run's first parameter set; only from graphs that have such outputs, and sum none up.
   */
  readonly gradient?: Float32Array;
  /** Version of the first parameter set, as it was handed over. */
  readonly version: number;
}

/** What comes of other jobs than runs. */
export interface JobResult {
  readonly memory?: MemoryUse | undefined;
  readonly squares?: number;
  readonly values?: Float32Array;
}

/** How a run's outputs are treated. */
export interface RunSettings {
  /** Outputs that stay where they were computed, to be fed to later runs of this engine; `drop` frees them. */
  readonly keep?: readonly string[];
  /** For graphs with inputs of `SUM`: whether their gradients begin a sum where the set is held, or are added to it. */
  readonly sum?: 'begin' | 'add';
}

/** What a set that learns has beside its values. */
export type LearningPart = 'gradient' | 'first' | 'second';

/**
 * Learning where sets are held: a run's gradients are summed up there, AdamW's moments lie beside the weights.
 *
 * Sums and moments are 0 until something is written there.
 */
export interface EngineLearning {
  /** Euclidean length of what the gradients of runs have come to. */
  norm(set: string): Promise<number>;
  /** One step of AdamW on that sum. @param step counts them from 1. @param version that answers of later runs name. */
  step(
    set: string,
    layout: Layout,
    options: AdamOptions & { readonly step: number; readonly version: number },
  ): Promise<void>;
  read(set: string, part: LearningPart | 'values'): Promise<Float32Array>;
  /** @param values in the set's layout. */
  write(set: string, part: LearningPart, values: Float32Array): Promise<void>;
}

/** What an engine computes on. */
export type Device =
  | {
      readonly kind: 'cpu';
      /** Computes through ONNX Runtime's C API, as a GPU does; through onnxruntime-node unless told. */
      readonly libraries?: NativeLibraries;
      /** Most bytes that runs there take; only through the C API. */
      readonly memory?: number;
    }
  | {
      readonly kind: 'cuda';
      /** Among the devices that the process may see, from 0. */
      readonly index: number;
      /**
       * Bytes that engines of this process take on the device together, at once and in one piece, as the first of them
       * says; nine tenths of
       * what is free unless told. Libraries' own workspaces come beside it.
       */
      readonly memory?: number;
      /** Whether memory is taken as it is needed instead, in pieces, to measure how much that is. */
      readonly grow?: boolean;
      /** Whether products of float32 may round their factors to 10 bits; they don't unless told. */
      readonly tf32?: boolean;
      /** Those that this machine has unless told. */
      readonly libraries?: NativeLibraries;
    };

/** How an engine computes. */
export interface EngineOptions {
  /** Threads; 1 on a GPU. */
  readonly workers: number;
  /** Intra-op threads of each worker; workers × threads should not exceed the cores. */
  readonly threads: number;
  /** The CPU unless told. */
  readonly device?: Device;
}

export type SessionJob =
  | { readonly kind: 'open'; readonly program: Program | ProgramFile; readonly sets: readonly string[] }
  | { readonly kind: 'close'; readonly program: string }
  | {
      readonly kind: 'parameters';
      readonly set: string;
      readonly layout: Layout;
      readonly values: Float32Array;
      readonly version: number;
    }
  | { readonly kind: 'places'; readonly set: string; readonly places: ReadonlyMap<string, Place> }
  | {
      readonly kind: 'tensor';
      readonly set: string;
      readonly name: string;
      readonly values: Float32Array | Uint16Array;
    }
  | {
      readonly kind: 'run';
      readonly program: string;
      readonly sets: readonly string[];
      readonly feeds: Readonly<Record<string, Data | { readonly id: number }>>;
      readonly settings: RunSettings;
    }
  | { readonly kind: 'drop'; readonly ids: readonly number[] }
  | { readonly kind: 'memory' }
  | { readonly kind: 'squares'; readonly set: string }
  | { readonly kind: 'step'; readonly set: string; readonly pieces: readonly AdamPiece[]; readonly version: number }
  | { readonly kind: 'read'; readonly set: string; readonly part: LearningPart | 'values' }
  | { readonly kind: 'write'; readonly set: string; readonly part: LearningPart; readonly values: Float32Array }
  | { readonly kind: 'end' };

/** Threads that hold the same graphs and parameters; a run goes to whichever is free. */
export interface Engine {
  readonly workers: number;
  /** What programs that it opens are written in. */
  readonly dialect: Dialect;
  /**
   * Opens a graph on every thread; twice is once.
   *
   * @param sets as for its runs; what of them lies in files is bound here. `policy` alone unless told.
   * @throws if the runtime refuses it, a file's inputs and outputs are others than it is said to have, or another graph
   * of that name is open.
   */
  open(program: Program | ProgramFile, sets?: readonly string[]): Promise<void>;
  /** Frees a graph's sessions. */
  close(program: Pick<Program, 'name'>): Promise<void>;
  /**
   * Hands every thread its own copy of a parameter set.
   *
   * @param values in the layout's order, on shared memory; must not change before the promise resolves.
   * @param version that answers of later runs name; 0 unless told.
   */
  parameters(set: string, layout: Layout, values: Float32Array, version?: number): Promise<void>;
  /**
   * Adds tensors to a set that is only read: every thread computes with the file's own pages. For graphs opened later.
   */
  places(set: string, places: ReadonlyMap<string, Place>): Promise<void>;
  /**
   * Adds a tensor to a set that is only read; `values`, halves as their bits, is given away, and copied for every
   * thread but one.
   */
  tensor(set: string, name: string, values: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>): Promise<void>;
  /**
   * Runs a graph once. Inputs that are not fed come from the first of the parameter sets that has them.
   *
   * @param sets `policy` alone unless told.
   * @throws {OutOfMemoryError} where the device or the machine has no room for it.
   */
  run(
    program: Pick<Program, 'name'>,
    feeds: Feeds,
    sets?: readonly string[],
    settings?: RunSettings,
  ): Promise<RunResult>;
  /** Where this is the device's work; on the CPU it is the host's. */
  readonly learning?: EngineLearning;
  /** Frees outputs that were kept, behind the runs that were asked for before. */
  drop(kept: Iterable<Kept>): Promise<void>;
  /** What a GPU's memory holds; undefined on the CPU. */
  memory(): Promise<MemoryUse | undefined>;
  /** Waits for runs under way, frees sessions and threads. */
  release(): Promise<void>;
}

let flushed: Promise<void> | undefined;

/**
 * Makes numbers too small to be normal 0, here and in every thread that is started from here on.
 *
 * The runtime does so once a process, in the thread that makes the first session; were that one of the workers, what
 * comes of a
 * job would depend on who does it. Threads inherit it, save where the system has it otherwise: there no worker flushes.
 */
function flushDenormals(): Promise<void> {
  const flush = async (): Promise<void> => {
    const { InferenceSession } = await import('onnxruntime-node');
    const one = input('one', 'float32', {});
    const session = await InferenceSession.create(emit('flush', { two: add(one, one) }).bytes, {
      intraOpNumThreads: 1,
      extra: { session: { set_denormal_as_zero: '1' } },
    });
    await session.release();
  };
  return (flushed ??= flush());
}

/** What threads of an engine are told. */
export interface ThreadData {
  readonly threads: number;
  readonly device: Device;
  /** None where onnxruntime-node computes. */
  readonly libraries: NativeLibraries | undefined;
  /** Counts the engines on a device; see `openDevice`. */
  readonly users: Int32Array;
}

/** One a device, for all engines of this process. */
const users = new Map<number, Int32Array>();

function usersOf(device: Device): Int32Array {
  const index = device.kind === 'cuda' ? device.index : -1;
  const known = users.get(index) ?? new Int32Array(new SharedArrayBuffer(8));
  users.set(index, known);
  return known;
}

/**
 * @throws {CudaMissingError} naming what a GPU needs and is not there.
 * @throws {RangeError} for more than one worker on a GPU: one thread feeds a device, and a second would hold everything
 * twice.
 */
export function openEngine({ workers: size, threads, device = { kind: 'cpu' } }: EngineOptions): Engine {
  // Else the runtime would keep an identity and a log of its use in the user's cache.
  process.env['ORT_DISABLE_TELEMETRY'] ??= '1';
  if (device.kind === 'cuda' && size !== 1)
    throw new RangeError(`openEngine  workers: expected 1 on a GPU, which one thread feeds; got ${size}`);
  const libraries = device.libraries ?? (device.kind === 'cuda' ? findCudaRuntime() : undefined);
  const data: ThreadData = { threads, device, libraries, users: usersOf(device) };
  const ready = device.kind === 'cpu' ? flushDenormals() : Promise.resolve();
  const started = ready.then((): Workers<SessionJob, RunResult & JobResult> =>
    workers(new URL('./session-worker.js', import.meta.url), size, data),
  );
  const call: Call = async (job) => (await started).call(job);
  const everywhere = async (job: SessionJob): Promise<unknown> => (await started).everywhere(job);
  const open = new Map<string, { readonly program: Program | ProgramFile; readonly done: Promise<unknown> }>();
  let released: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    await everywhere({ kind: 'end' }).catch(() => undefined);
    await (await started).release();
  };
  return {
    workers: size,
    dialect: device.kind,
    async open(program, sets = ['policy']) {
      const known = open.get(program.name) ?? { program, done: everywhere({ kind: 'open', program, sets }) };
      if (!same(known.program, program))
        throw new Error(`${program.name}: expected one graph of this name; got another while it is open`);
      open.set(program.name, known);
      await known.done.catch((error: unknown) => {
        if (open.get(program.name) === known) open.delete(program.name);
        throw error;
      });
    },
    async close(program) {
      if (open.delete(program.name)) await everywhere({ kind: 'close', program: program.name });
    },
    async parameters(set, layout, values, version = 0) {
      await everywhere({ kind: 'parameters', set, layout, values, version });
    },
    async places(set, places) {
      await everywhere({ kind: 'places', set, places });
    },
    async tensor(set, name, values) {
      await (
        await started
      ).each((worker) => {
        const own = worker === size - 1 ? values : values.slice();
        return { job: { kind: 'tensor', set, name, values: own }, transfer: [own.buffer] };
      });
    },
    async run(program, feeds, sets = ['policy'], settings = {}) {
      const plain = Object.fromEntries(
        Object.entries(feeds).map(([name, feed]) => [name, 'data' in feed ? feed.data : feed]),
      );
      const answer = await call({ kind: 'run', program: program.name, sets, feeds: plain, settings });
      return settings.keep ? withKept(answer, settings.keep) : answer;
    },
    ...(libraries && { learning: learningOf(call) }),
    async drop(kept) {
      const ids = [...kept].flatMap((one) => ('id' in one ? [one.id] : []));
      if (ids.length > 0) await everywhere({ kind: 'drop', ids });
    },
    memory: async () => (await call({ kind: 'memory' })).memory,
    release: () => (released ??= end()),
  };
}

/** Does a job on one thread. */
type Call = (job: SessionJob) => Promise<RunResult & JobResult>;

function learningOf(call: Call): EngineLearning {
  return {
    norm: async (set) => Math.sqrt((await call({ kind: 'squares', set })).squares ?? NaN),
    async step(set, layout, { step, version, ...options }) {
      await call({ kind: 'step', set, pieces: piecesOf(layout, step, options), version });
    },
    read: async (set, part) => (await call({ kind: 'read', set, part })).values as Float32Array,
    async write(set, part, values) {
      await call({ kind: 'write', set, part, values });
    },
  };
}

/** What an engine of several threads was asked to keep came back: any of them may be asked next. */
function withKept({ outputs, kept = {}, ...answer }: RunResult, keep: readonly string[]): RunResult {
  const entries = Object.entries(outputs);
  const back = entries.flatMap(([name, data]) => (keep.includes(name) ? [[name, { data }] as const] : []));
  return {
    ...answer,
    outputs: Object.fromEntries(entries.filter(([name]) => !keep.includes(name))),
    kept: { ...kept, ...Object.fromEntries(back) },
  };
}

function same(a: Program | ProgramFile, b: Program | ProgramFile): boolean {
  if (a === b) return true;
  return 'file' in a || 'file' in b
    ? 'file' in a && 'file' in b && a.file === b.file
    : Buffer.compare(a.bytes, b.bytes) === 0;
}
