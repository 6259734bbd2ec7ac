/** Runs graphs on ONNX Runtime, in worker threads: `run` there blocks its own thread and no other. */
import { createHash } from 'node:crypto';

import { piecesOf, type AdamPiece } from '../adamw.js';
import {
  graphOf,
  type Device,
  type Engine,
  type EngineLearning,
  type EngineOptions,
  type Graph,
  type GraphFile,
  type LearningPart,
  type MemoryUse,
  type NativeLibraries,
  type RunResult,
  type RunSettings,
} from '../engine.js';
import type { Data, Place } from '../graph.js';
import type { Layout } from '../layout.js';
import { checkOperations } from '../operations.js';
import { arrayOf, spanOf, type Span } from '../span.js';
import { add, input } from '../ops.js';
import { emit, type Program } from './emit.js';
import { hasKernel } from './kernels.js';
import { findCudaRuntime } from '../../gpu/find.js';
import { workers, type Workers } from '../../workers.js';

/** The result of a run, on its way from a thread. */
export type RunAnswer = Omit<RunResult, 'gradient'> & { readonly gradient?: Span };

/** Results of jobs other than runs. */
export interface JobResult {
  readonly memory?: MemoryUse | undefined;
  readonly squares?: number;
  readonly values?: Span;
}

export type SessionJob =
  | { readonly kind: 'open'; readonly program: Program | GraphFile; readonly sets: readonly string[] }
  | { readonly kind: 'close'; readonly program: string }
  | {
      readonly kind: 'parameters';
      readonly set: string;
      readonly layout: Layout;
      readonly values: Span;
      readonly version: number;
    }
  | { readonly kind: 'places'; readonly set: string; readonly places: ReadonlyMap<string, Place> }
  | {
      readonly kind: 'tensor';
      readonly set: string;
      readonly name: string;
      readonly values: Span;
      readonly half: boolean;
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
  | {
      readonly kind: 'readInto';
      readonly set: string;
      readonly part: LearningPart;
      readonly from: number;
      readonly into: Span;
    }
  | { readonly kind: 'write'; readonly set: string; readonly part: LearningPart; readonly values: Span }
  | { readonly kind: 'end' };

/** ONNX Runtime as an engine; it also opens `.onnx` files, and emitted graphs. */
export interface OnnxEngine extends Engine {
  openFile(file: GraphFile, sets?: readonly string[]): Promise<void>;
  /** As `open`, of a graph in this engine's dialect. */
  openProgram(program: Program, sets?: readonly string[]): Promise<void>;
}

const NAME = 'onnx';

let flushed: Promise<void> | undefined;

/**
 * Flushes subnormal numbers to 0, here and in every thread started afterwards. The runtime does so once for each
 * process, in the thread of the first session; if that were a worker, results would depend on which worker runs a job.
 * Threads inherit it; on systems where they don't, no worker flushes.
 */
function flushDenormals(): Promise<void> {
  const flush = async (): Promise<void> => {
    const { InferenceSession } = await import('onnxruntime-node');
    const one = input('one', 'float32', {});
    const session = await InferenceSession.create(emit(graphOf('flush', { two: add(one, one) }), 'cpu').bytes, {
      intraOpNumThreads: 1,
      extra: { session: { set_denormal_as_zero: '1' } },
    });
    await session.release();
  };
  return (flushed ??= flush());
}

/** Settings of an engine's threads. */
export interface ThreadData {
  readonly threads: number;
  readonly device: Device;
  /** Undefined for onnxruntime-node. */
  readonly libraries: NativeLibraries | undefined;
  /** Counts the engines on a device; see `openDevice`. */
  readonly users: Int32Array;
}

/** An open graph, with a weak reference to the traced one, which may be large and is only compared. */
interface Opened {
  readonly content: string;
  readonly graph?: WeakRef<Graph>;
  readonly done: Promise<unknown>;
}

/** One for each device, for all engines of this process. */
const users = new Map<number, Int32Array>();

function usersOf(device: Device): Int32Array {
  const index = device.kind === 'cuda' ? device.index : -1;
  const known = users.get(index) ?? new Int32Array(new SharedArrayBuffer(8));
  users.set(index, known);
  return known;
}

/**
 * @throws {CudaMissingError} naming what a GPU lacks.
 * @throws {RangeError} for more than one worker on a GPU: a second thread would hold everything twice.
 */
export function openOnnx({ workers: size, threads, device = { kind: 'cpu' } }: EngineOptions): OnnxEngine {
  // Else the runtime would store an identity and a usage log in the user's cache.
  process.env['ORT_DISABLE_TELEMETRY'] ??= '1';
  if (device.kind === 'cuda' && size !== 1)
    throw new RangeError(`openEngine  workers: expected 1 on a GPU, which one thread feeds; got ${size}`);
  const libraries = device.libraries ?? (device.kind === 'cuda' ? findCudaRuntime() : undefined);
  const data: ThreadData = { threads, device, libraries, users: usersOf(device) };
  const ready = device.kind === 'cpu' ? flushDenormals() : Promise.resolve();
  const started = ready.then((): Workers<SessionJob, RunAnswer & JobResult> =>
    workers(new URL('./session-worker.js', import.meta.url), size, data),
  );
  const call: Call = async (job) => (await started).call(job);
  const everywhere = async (job: SessionJob): Promise<unknown> => (await started).everywhere(job);
  const open = new Map<string, Opened>();
  const opened = async (program: Program | GraphFile, sets: readonly string[], graph?: Graph): Promise<void> => {
    const content = contentOf(program);
    const known = open.get(program.name) ?? {
      content,
      ...(graph && { graph: new WeakRef(graph) }),
      done: everywhere({ kind: 'open', program, sets }),
    };
    if (known.content !== content)
      throw new Error(`${program.name}: expected one graph of this name; got another while it is open`);
    open.set(program.name, known);
    await known.done.catch((error: unknown) => {
      if (open.get(program.name) === known) open.delete(program.name);
      throw error;
    });
  };
  let released: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    await everywhere({ kind: 'end' }).catch(() => undefined);
    await (await started).release();
  };
  return {
    name: NAME,
    workers: size,
    traits: { device: device.kind, halves: device.kind === 'cuda' },
    async open(graph, sets = ['policy']) {
      const known = open.get(graph.name);
      if (known?.graph?.deref() === graph) {
        await known.done;
        return;
      }
      checkOperations(graph, `${NAME} (${device.kind})`, (node, dtype) => hasKernel(node.op, dtype, device.kind));
      await opened(emit(graph, device.kind), sets, graph);
    },
    openProgram: (program, sets = ['policy']) => opened(program, sets),
    openFile: (file, sets = ['policy']) => opened(file, sets),
    async close({ name }) {
      if (open.delete(name)) await everywhere({ kind: 'close', program: name });
    },
    async parameters(set, layout, values, version = 0) {
      await everywhere({ kind: 'parameters', set, layout, values: spanOf(values), version });
    },
    async places(set, places) {
      await everywhere({ kind: 'places', set, places });
    },
    async tensor(set, name, values) {
      await (
        await started
      ).each((worker) => {
        const own = worker === size - 1 ? values : values.slice();
        return {
          job: { kind: 'tensor', set, name, values: spanOf(own), half: own instanceof Uint16Array },
          transfer: [own.buffer],
        };
      });
    },
    async run({ name: program }, feeds, sets = ['policy'], settings = {}) {
      const plain = Object.fromEntries(
        Object.entries(feeds).map(([name, feed]) => [name, 'data' in feed ? feed.data : feed]),
      );
      const { gradient, ...told } = await call({ kind: 'run', program, sets, feeds: plain, settings });
      const answer = gradient ? { ...told, gradient: arrayOf(gradient) } : told;
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

/** Runs a job on one thread. */
type Call = (job: SessionJob) => Promise<RunAnswer & JobResult>;

function learningOf(call: Call): EngineLearning {
  return {
    norm: async (set) => Math.sqrt((await call({ kind: 'squares', set })).squares ?? NaN),
    async step(set, layout, { step, version, ...options }) {
      await call({ kind: 'step', set, pieces: piecesOf(layout, step, options), version });
    },
    read: async (set, part) => arrayOf((await call({ kind: 'read', set, part })).values as Span),
    async readInto(set, part, from, into) {
      await call({ kind: 'readInto', set, part, from, into: spanOf(into) });
    },
    async write(set, part, values) {
      await call({ kind: 'write', set, part, values: spanOf(values) });
    },
  };
}

/** With several threads, kept outputs are copied back, since any thread may run next. */
function withKept({ outputs, kept = {}, ...answer }: RunResult, keep: readonly string[]): RunResult {
  const entries = Object.entries(outputs);
  const back = entries.flatMap(([name, data]) => (keep.includes(name) ? [[name, { data }] as const] : []));
  return {
    ...answer,
    outputs: Object.fromEntries(entries.filter(([name]) => !keep.includes(name))),
    kept: { ...kept, ...Object.fromEntries(back) },
  };
}

/** Distinguishes graphs of one name. */
function contentOf(program: Program | GraphFile): string {
  return 'file' in program ? `file ${program.file}` : createHash('sha1').update(program.bytes).digest('base64');
}
