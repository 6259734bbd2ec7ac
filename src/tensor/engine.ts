/** The port between models and what computes them: a model traces a graph, an engine opens it and runs it. */
import { UsageError } from '../errors.js';
import type { AdamOptions } from './adamw.js';
import { dependencies, reachable, type Data, type DType, type Place, type Precision, type Tensor } from './graph.js';
import type { Layout } from './layout.js';
import { inPrecision } from './ops/precision.js';

/** A traced computation: named outputs, and through them everything that they need. */
export interface Graph {
  /** Names it in an engine and in messages. */
  readonly name: string;
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** What its products are computed in. */
  readonly precision: Precision;
}

/** Traces a graph with its products in `precision`. */
export function trace(name: string, precision: Precision, outputs: () => Readonly<Record<string, Tensor>>): Graph {
  return { name, outputs: inPrecision(precision, outputs), precision };
}

/** A graph of values that were traced in float32. */
export function graphOf(name: string, outputs: Readonly<Record<string, Tensor>>): Graph {
  return { name, outputs, precision: 'float32' };
}

/** Of what is free on a GPU, taken by default. The rest is for the libraries' own workspaces. */
export const MEMORY_SHARE = 0.9;

/** An input or output of a graph, as it is fed or comes back. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly sizes: readonly number[];
}

/** What a graph must be fed or find in a parameter set, in trace order. */
export function inputsOf({ outputs }: Graph): TensorSpec[] {
  return reachable(Object.values(outputs), dependencies).flatMap(({ op, outputs: [t] }) =>
    op.kind === 'input' && t ? [{ name: op.name, dtype: t.dtype, sizes: t.shape.map(({ size }) => size) }] : [],
  );
}

/**
 * A graph that others wrote, in a format of the engine's: it opens the file, and those beside it that hold its values.
 * One size of an input may be -1: as many as are fed.
 */
export interface GraphFile {
  readonly name: string;
  readonly file: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/**
 * A graph's outputs whose names begin so are gathered into one flat array, laid out as the first parameter set of the
 * run.
 */
export const GRADIENT = 'gradient:';

/**
 * Inputs with this prefix and a parameter's name behind it are the sums of gradients of earlier runs; the graph adds
 * its own.
 */
export const SUM = 'sum:';

/** An output that stayed where it was computed. */
export type Kept = { readonly id: number } | { readonly data: Data };

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
  /** Euclidean length of the sum of the runs' gradients. */
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

/** Bytes on a device, all engines of this process together. */
export interface MemoryUse {
  /** Of weights and values that are held, and of what runs. */
  readonly inUse: number;
  /** Taken from the device, in use or kept for later runs. */
  readonly taken: number;
  /** The most that was in use at once; all of it where it was taken at once. */
  readonly most: number;
}

/** Shared libraries that an engine computes with, absolute paths. */
export interface NativeLibraries {
  /** The engine's own; it looks for its device's provider beside itself. */
  readonly runtime: string;
  /** What the provider needs, in an order in which each finds those before it; none for the CPU. */
  readonly libraries: readonly string[];
}

/** What an engine computes on. */
export type Device =
  | {
      readonly kind: 'cpu';
      /** Computes through native libraries, as a GPU does; the engine's default way otherwise. */
      readonly libraries?: NativeLibraries;
      /** Most bytes that runs there take; only through native libraries. */
      readonly memory?: number;
    }
  | {
      readonly kind: 'cuda';
      /** Among the devices that the process may see, from 0. */
      readonly index: number;
      /**
       * Bytes that engines of this process take on the device together, at once and in one piece, as the first of them
       * says; default nine tenths of what is free. Libraries' own workspaces come beside it.
       */
      readonly memory?: number;
      /** Whether memory is taken as it is needed instead, in pieces, to measure how much that is. */
      readonly grow?: boolean;
      /** Whether products of float32 may round their factors to 10 bits; default false. */
      readonly tf32?: boolean;
      /** Default: those that this machine has. */
      readonly libraries?: NativeLibraries;
    };

/** How an engine computes. */
export interface EngineOptions {
  /** Threads; 1 on a GPU. */
  readonly workers: number;
  /** Intra-op threads of each worker; workers × threads should not exceed the cores. */
  readonly threads: number;
  /** Default: the CPU. */
  readonly device?: Device;
}

/** What models may depend on when they cut work into graphs and hand over weights. */
export interface EngineTraits {
  /** Where it computes. */
  readonly device: Device['kind'];
  /** Whether halves are held as halves; otherwise as float32 of a half's value, which is how they are handed over. */
  readonly halves: boolean;
}

/** Threads that hold the same graphs and parameters; a run goes to whichever is free. */
export interface Engine {
  /** As options name it. */
  readonly name: string;
  readonly workers: number;
  readonly traits: EngineTraits;
  /**
   * Opens a graph on every thread; twice is once.
   *
   * @param sets as for its runs; what of them lies in files is bound here. Default: `policy` alone.
   * @throws if it lacks an operation of the graph, see `checkOperations`; the runtime refuses the graph; or another
   * graph of that name is open.
   */
  open(graph: Graph, sets?: readonly string[]): Promise<void>;
  /**
   * As `open`; see `openFile`. Absent where the engine reads no files.
   *
   * @throws if the file's inputs and outputs are others than it is said to have.
   */
  openFile?(file: GraphFile, sets?: readonly string[]): Promise<void>;
  /** Frees what a graph holds. */
  close(graph: Pick<Graph, 'name'>): Promise<void>;
  /**
   * Hands every thread its own copy of a parameter set.
   *
   * @param values in the layout's order, on shared memory; must not change before the promise resolves.
   * @param version that answers of later runs name; default 0.
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
   * Runs an open graph once. Inputs that are not fed come from the first of the parameter sets that has them.
   *
   * @param sets default: `policy` alone.
   * @throws {OutOfMemoryError} where the device or the machine has no room for it.
   */
  run(graph: Pick<Graph, 'name'>, feeds: Feeds, sets?: readonly string[], settings?: RunSettings): Promise<RunResult>;
  /** Where this is the device's work; otherwise it is the host's. */
  readonly learning?: EngineLearning;
  /** Frees outputs that were kept, behind the runs that were asked for before. */
  drop(kept: Iterable<Kept>): Promise<void>;
  /** What a GPU's memory holds; undefined on the CPU. */
  memory(): Promise<MemoryUse | undefined>;
  /** Waits for runs under way, frees graphs and threads. */
  release(): Promise<void>;
}

/**
 * Opens a graph that comes as a file.
 *
 * @throws {UsageError} if the engine reads no files.
 */
export async function openFile(engine: Engine, file: GraphFile, sets?: readonly string[]): Promise<void> {
  if (!engine.openFile)
    throw new UsageError(`${file.file}: expected an engine that opens graphs from files; got ${engine.name}`);
  await engine.openFile(file, sets);
}
