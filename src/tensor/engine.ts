/** The port between models and engines: a model traces a graph, an engine opens it and runs it. */
import { UsageError } from '../errors.js';
import type { AdamOptions } from './adamw.js';
import { dependencies, reachable, type Data, type DType, type Place, type Precision, type Tensor } from './graph.js';
import type { Layout } from './layout.js';
import { inPrecision } from './ops/precision.js';

/** A traced computation: named outputs, and everything that they need. */
export interface Graph {
  /** Its name in an engine and in messages. */
  readonly name: string;
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Precision of its products. */
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

/** Share of a GPU's free memory that is taken by default. The rest is for the libraries' workspaces. */
export const MEMORY_SHARE = 0.9;

/** An input or output of a graph, as it is fed or returned. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly sizes: readonly number[];
}

/** Inputs that must be fed or found in a parameter set, in trace order. */
export function inputsOf({ outputs }: Graph): TensorSpec[] {
  return reachable(Object.values(outputs), dependencies).flatMap(({ op, outputs: [t] }) =>
    op.kind === 'input' && t ? [{ name: op.name, dtype: t.dtype, sizes: t.shape.map(({ size }) => size) }] : [],
  );
}

/**
 * A graph from other tools, in a format of the engine: it opens the file, and those with its external data. One size of
 * an input may be -1, for any size.
 */
export interface GraphFile {
  readonly name: string;
  readonly file: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/**
 * A graph's outputs with this prefix are collected into one flat array, in the layout of the run's first parameter set.
 */
export const GRADIENT = 'gradient:';

/** Inputs with this prefix and a parameter's name are the gradient sums of earlier runs; the graph adds its own. */
export const SUM = 'sum:';

/** An output that stays on the device that computed it. */
export type Kept = { readonly id: number } | { readonly data: Data };

export type Feeds = Readonly<Record<string, Data | Kept>>;

export interface RunResult {
  readonly outputs: Readonly<Record<string, Data>>;
  /** Outputs kept on request; they are not in `outputs`. */
  readonly kept?: Readonly<Record<string, Kept>>;
  /** Actual sizes; a loop that ended early has fewer steps. */
  readonly sizes: Readonly<Record<string, readonly number[]>>;
  /**
   * Gradients in the layout of the run's first parameter set; only from graphs with such outputs that don't sum on the
   * device.
   */
  readonly gradient?: Float32Array;
  /** Version of the first parameter set. */
  readonly version: number;
}

/** How a run's outputs are treated. */
export interface RunSettings {
  /** Outputs to keep on the device, as inputs of later runs of this engine; `drop` frees them. */
  readonly keep?: readonly string[];
  /** For graphs with inputs of `SUM`: whether their gradients start a sum on the set's device, or are added to it. */
  readonly sum?: 'begin' | 'add';
  /** Whether such a run makes room for AdamW's moments there, too, before runs take the rest; true by default. */
  readonly moments?: boolean;
}

/** Arrays that a trained set has beside its values. */
export type LearningPart = 'gradient' | 'first' | 'second';

/**
 * Training on the device that holds the sets: gradients are summed there, with AdamW's moments beside the weights, or
 * without: then the host takes the steps, and reads the sum for it. Sums and moments are 0 initially.
 */
export interface EngineLearning {
  /** Euclidean length of the sum of the runs' gradients. */
  norm(set: string): Promise<number>;
  /**
   * One step of AdamW on that sum.
   *
   * @param step counted from 1.
   * @param version reported by later runs.
   */
  step(
    set: string,
    layout: Layout,
    options: AdamOptions & { readonly step: number; readonly version: number },
  ): Promise<void>;
  /** Only of sets that are held in float32, as all parts but the values are. */
  read(set: string, part: LearningPart | 'values'): Promise<Float32Array>;
  /** Reads as many elements as `into` has, from `from` on. @param into on shared memory. */
  readInto(set: string, part: LearningPart, from: number, into: Float32Array): Promise<void>;
  /** @param values in the set's layout. */
  write(set: string, part: LearningPart, values: Float32Array): Promise<void>;
}

/** Bytes on a device, all engines of this process together. */
export interface MemoryUse {
  /** Of held weights and values, and of runs. */
  readonly inUse: number;
  /** Taken from the device, in use or kept for later runs. */
  readonly taken: number;
  /** Peak in use; all of it if allocated at once. */
  readonly most: number;
}

/** Shared libraries of an engine, absolute paths. */
export interface NativeLibraries {
  /** The engine's own; it looks for its device's provider beside itself. */
  readonly runtime: string;
  /** Libraries that the provider needs, in load order; none for the CPU. */
  readonly libraries: readonly string[];
}

/** Device of an engine. */
export type Device =
  | {
      readonly kind: 'cpu';
      /** Computes through native libraries, as a GPU does; the engine's default way otherwise. */
      readonly libraries?: NativeLibraries;
      /** Most bytes for runs; only through native libraries. */
      readonly memory?: number;
    }
  | {
      readonly kind: 'cuda';
      /** Index among the process's visible devices, from 0. */
      readonly index: number;
      /**
       * Bytes that all engines of this process take on the device, at once and in one piece; the first engine decides.
       * Default: nine tenths of what is free. Libraries' own workspaces are extra.
       */
      readonly memory?: number;
      /** Whether memory is instead allocated in pieces as needed, to measure it. */
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

/** Properties of an engine that models use to split work into graphs and pass weights. */
export interface EngineTraits {
  /** Its device. */
  readonly device: Device['kind'];
  /** Whether halves are held as halves; otherwise they are passed and held as float32 with a half's value. */
  readonly halves: boolean;
}

/** Threads that hold the same graphs and parameters; a run goes to whichever is free. */
export interface Engine {
  /** Its name in options. */
  readonly name: string;
  readonly workers: number;
  readonly traits: EngineTraits;
  /**
   * Opens a graph on every thread; idempotent.
   *
   * @param sets as for its runs; memory-mapped tensors of them are bound here. Default: `policy` alone.
   * @throws if it lacks an operation of the graph, see `checkOperations`; the runtime refuses the graph; or another
   * graph of that name is open.
   */
  open(graph: Graph, sets?: readonly string[]): Promise<void>;
  /**
   * As `open`; see `openFile`. Absent where the engine reads no files.
   *
   * @throws if the file's inputs and outputs differ from the declared ones.
   */
  openFile?(file: GraphFile, sets?: readonly string[]): Promise<void>;
  /** Frees a graph. */
  close(graph: Pick<Graph, 'name'>): Promise<void>;
  /**
   * Sends every thread its own copy of a parameter set.
   *
   * @param layout an engine with halves rounds values to the formats that it names.
   * @param values in the layout's order, on shared memory; must not change before the promise resolves.
   * @param version that answers of later runs name; default 0.
   */
  parameters(set: string, layout: Layout, values: Float32Array, version?: number): Promise<void>;
  /** Adds memory-mapped tensors to a frozen set: all threads use the file's pages. For graphs opened later. */
  places(set: string, places: ReadonlyMap<string, Place>): Promise<void>;
  /**
   * Adds a tensor to a frozen set; `values`, halves as their bits, is transferred, and copied for every thread but one.
   */
  tensor(set: string, name: string, values: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>): Promise<void>;
  /**
   * Runs an open graph once. Inputs that are not fed come from the first parameter set that has them.
   *
   * @param sets default: `policy` alone.
   * @throws {OutOfMemoryError} if the device or the machine has no room for it.
   */
  run(graph: Pick<Graph, 'name'>, feeds: Feeds, sets?: readonly string[], settings?: RunSettings): Promise<RunResult>;
  /** Training on the device; undefined if the host does it. */
  readonly learning?: EngineLearning;
  /** Frees kept outputs, after the runs that are already queued. */
  drop(kept: Iterable<Kept>): Promise<void>;
  /** Use of a GPU's memory; undefined on the CPU. */
  memory(): Promise<MemoryUse | undefined>;
  /** Waits for running jobs, frees graphs and threads. */
  release(): Promise<void>;
}

/**
 * Opens a graph from a file.
 *
 * @throws {UsageError} if the engine reads no files.
 */
export async function openFile(engine: Engine, file: GraphFile, sets?: readonly string[]): Promise<void> {
  if (!engine.openFile)
    throw new UsageError(`${file.file}: expected an engine that opens graphs from files; got ${engine.name}`);
  await engine.openFile(file, sets);
}
