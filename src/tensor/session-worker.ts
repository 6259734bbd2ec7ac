import { workerData } from 'node:worker_threads';

import * as ort from 'onnxruntime-node';

import type { Data, DType, Place } from './graph.js';
import { placed, type Program, type ProgramFile } from './onnx.js';
import { GRADIENT, type Answer, type Feeds, type Layout, type SessionJob } from './session.js';
import { messageOf } from '../errors.js';
import { serve } from '../workers.js';

const { threads } = workerData as { threads: number };
/** A parameter set: where all of it may change, laid out in one array. */
interface Held {
  readonly flat?: { readonly layout: Layout; readonly values: Float32Array; readonly version: number };
  readonly values: Map<string, Float32Array | Uint16Array>;
  readonly places: Map<string, Place>;
}

/** An open graph, with its inputs that lie in files. */
interface Opened {
  readonly session: ort.InferenceSession;
  readonly program: Pick<Program, 'name' | 'inputs' | 'outputs'>;
  readonly places: ReadonlyMap<string, Place>;
}

const sessions = new Map<string, Opened>();
let ended = false;
const sets = new Map<string, Held>();

/** The first of the sets that has a parameter. */
const holder = (from: readonly string[], input: string): Held | undefined => from.map((set) => sets.get(set)).find((set) => set?.values.has(input) || set?.places.has(input));

async function open(program: Program | ProgramFile, from: readonly string[]): Promise<void> {
  const places = new Map(program.inputs.flatMap(({ name }) => {
    const place = holder(from, name)?.places.get(name);
    return place ? [[name, place] as const] : [];
  }));
  const { bytes, folder } = 'file' in program ? { bytes: undefined } : placed(program, places);
  const options: ort.InferenceSession.SessionOptions = {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    // What goes wrong is thrown; the runtime would print it as well.
    logSeverityLevel: 4,
    extra: {
      session: {
        // Spinning threads would take the cores from the other workers.
        'intra_op': { allow_spinning: threads > 1 ? '1' : '0' },
        // A softmax over masked scores is full of numbers too small to be normal, and arithmetic on those is slow.
        'set_denormal_as_zero': '1',
        ...(folder === undefined ? {} : { 'model_external_initializers_file_folder_path': folder }),
      },
      // Outputs stand behind copies that say in which order they are computed; without these all weights' gradients would
      // be left to the end, and every value that they need kept until then.
      optimization: { 'disable_specified_optimizers': 'EliminateIdentity' },
    },
  };
  const session = 'file' in program ? await opened(program, options) : await ort.InferenceSession.create(bytes as Uint8Array, options);
  const { name, inputs, outputs } = program;
  sessions.set(name, { session, program: { name, inputs, outputs }, places });
}

/** A session of a file. What it lacks or asks for besides is named, for the runtime would only fail once it runs. */
async function opened({ file, inputs, outputs }: ProgramFile, options: ort.InferenceSession.SessionOptions): Promise<ort.InferenceSession> {
  const session = await ort.InferenceSession.create(file, options);
  const got = (all: readonly ort.InferenceSession.ValueMetadata[]): string[] => all.map((one) => `${one.name} (${one.isTensor ? one.type : 'no tensor'})`);
  const [asks, gives] = [got(session.inputMetadata), got(session.outputMetadata)];
  const expected = (all: Program['inputs']): string[] => all.map(({ name, dtype }) => `${name} (${dtype})`);
  for (const [what, own, found, exact] of [['inputs', expected(inputs), asks, true], ['outputs', expected(outputs), gives, false]] as const) {
    if (own.every((one) => found.includes(one)) && (!exact || own.length === found.length)) continue;
    await session.release();
    throw new Error(`${file}: expected the ${what} ${own.join(', ')}; got ${found.join(', ')}`);
  }
  return session;
}

async function close(name: string): Promise<void> {
  const known = sessions.get(name);
  sessions.delete(name);
  await known?.session.release();
}

/** Views of a private copy, for the runtime refuses shared memory; a later version of the set takes the place of the earlier. */
function keep(set: string, layout: Layout, values: Float32Array, version: number): void {
  const before = sets.get(set)?.flat?.values;
  const own = before?.length === values.length ? before : new Float32Array(values.length);
  own.set(values);
  const views = new Map(layout.entries.map(({ name, offset, length }) => [name, own.subarray(offset, offset + length)]));
  sets.set(set, { flat: { layout, values: own, version }, values: views, places: new Map() });
}

/** Adds one tensor to a set, in place of an earlier one of that name. */
function add(set: string, name: string, value: Float32Array | Uint16Array | Place): void {
  const { values, places } = sets.get(set) ?? { values: new Map<string, Float32Array | Uint16Array>(), places: new Map<string, Place>() };
  values.delete(name);
  places.delete(name);
  if ('file' in value) places.set(name, value);
  else values.set(name, value);
  sets.set(set, { values, places });
}

/** What is fed, checked here because the runtime's own message does not say which input it means. @returns sizes without -1. */
function fitted(input: string, dtype: DType, declared: readonly number[], data: Data): readonly number[] {
  const told = declared.reduce((product, size) => (size < 0 ? product : product * size), 1);
  const sizes = declared.map((size) => (size < 0 ? Math.floor(data.length / told) : size));
  const length = sizes.reduce((product, size) => product * size, 1);
  const kind = data instanceof Float32Array ? 'float32' : data instanceof BigInt64Array ? 'int64' : 'bool';
  if (data.length !== length || kind !== dtype) throw new Error(`expected ${length} elements of ${dtype} for the input ${input}; got ${data.length} of ${kind}`);
  return sizes;
}

const typed = (dtype: string, data: Data, sizes: readonly number[]): ort.Tensor => new ort.Tensor(dtype as 'float32', data as Float32Array, sizes);

async function run(name: string, from: readonly string[], feeds: Feeds): Promise<Answer> {
  const known = sessions.get(name);
  if (ended) throw new Error(`expected a run before the engine's release; got one after`);
  if (!known) throw new Error(`expected an open graph; got one that was never opened`);
  const { session, program, places } = known;
  const { layout: trained, version = 0 } = sets.get(from[0] ?? '')?.flat ?? {};
  const fed: Record<string, ort.Tensor> = {};
  for (const { name: input, dtype, sizes } of program.inputs) {
    const held = holder(from, input);
    const place = feeds[input] ? undefined : held?.places.get(input);
    if (place !== places.get(input)) throw new Error(`expected the input ${input} from where it was when the graph was opened; got another source`);
    if (place) continue;
    const data = feeds[input] ?? held?.values.get(input);
    if (!data) throw new Error(`expected a value for the input ${input}; got neither a feed nor a parameter of the set ${from.join(' or ')}`);
    fed[input] = typed(dtype, data, fitted(input, dtype, sizes, data));
  }
  const gradient = trained && program.outputs.some((output) => output.name.startsWith(GRADIENT)) ? new Float32Array(trained.length) : undefined;
  const fetches: Record<string, ort.Tensor | null> = {};
  for (const { name: output, sizes } of program.outputs) {
    const entry = output.startsWith(GRADIENT) ? trained?.entries.find((known) => known.name === output.slice(GRADIENT.length)) : undefined;
    if (gradient && output.startsWith(GRADIENT) && !entry) throw new Error(`expected a parameter of the set ${from[0]} for the output ${output}; got none of that name`);
    fetches[output] = gradient && entry ? typed('float32', gradient.subarray(entry.offset, entry.offset + entry.length), sizes) : null;
  }
  const results = await session.run(fed, fetches);
  const plain = program.outputs.filter((output) => !output.name.startsWith(GRADIENT)).map((output) => [output.name, results[output.name] as ort.Tensor] as const);
  return {
    outputs: Object.fromEntries(plain.map(([label, t]) => [label, t.data as Data])),
    sizes: Object.fromEntries(plain.map(([label, t]) => [label, [...t.dims]])),
    ...(gradient ? { gradient } : {}),
    version,
  };
}

/** Puts the graph's name before a message. */
const named = (name: string) => (error: unknown): never => {
  throw new Error(`${name}: ${messageOf(error)}`);
};

async function handle(job: SessionJob): Promise<{ answer: Answer | undefined; transfer?: readonly ArrayBuffer[] }> {
  switch (job.kind) {
    case 'open':
      await open(job.program, job.sets).catch(named(job.program.name));
      return { answer: undefined };
    case 'close':
      await close(job.program);
      return { answer: undefined };
    case 'parameters':
      keep(job.set, job.layout, job.values, job.version);
      return { answer: undefined };
    case 'places':
      for (const [name, place] of job.places) add(job.set, name, place);
      return { answer: undefined };
    case 'tensor':
      add(job.set, job.name, job.values);
      return { answer: undefined };
    case 'run': {
      const answer = await run(job.program, job.sets, job.feeds).catch(named(job.program));
      return { answer, transfer: answer.gradient ? [answer.gradient.buffer as ArrayBuffer] : [] };
    }
    case 'end':
      ended = true;
      for (const name of sessions.keys()) await close(name);
      return { answer: undefined };
  }
}

serve(handle);
