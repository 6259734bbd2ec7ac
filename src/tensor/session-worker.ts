import { workerData } from 'node:worker_threads';

import * as ort from 'onnxruntime-node';

import type { Data, DType } from './graph.js';
import type { Program } from './onnx.js';
import { GRADIENT, type Answer, type Feeds, type Layout, type SessionJob } from './session.js';
import { messageOf } from '../errors.js';
import { serve } from '../workers.js';

const { threads } = workerData as { threads: number };
const sessions = new Map<string, { readonly session: ort.InferenceSession; readonly program: Omit<Program, 'bytes'> }>();
let ended = false;
const sets = new Map<string, { readonly layout: Layout; readonly values: ReadonlyMap<string, Float32Array> }>();

async function open(program: Program): Promise<void> {
  const session = await ort.InferenceSession.create(program.bytes, {
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
        ...(program.folder === undefined ? {} : { 'model_external_initializers_file_folder_path': program.folder }),
      },
      // Outputs stand behind copies that say in which order they are computed; without these all weights' gradients would
      // be left to the end, and every value that they need kept until then.
      optimization: { 'disable_specified_optimizers': 'EliminateIdentity' },
    },
  });
  const { bytes: _, ...known } = program;
  sessions.set(program.name, { session, program: known });
}

async function close(name: string): Promise<void> {
  const known = sessions.get(name);
  sessions.delete(name);
  await known?.session.release();
}

/** Views of a private copy: the runtime refuses shared memory. */
function keep(set: string, layout: Layout, values: Float32Array): void {
  const own = new Float32Array(values);
  sets.set(set, { layout, values: new Map(layout.entries.map(({ name, offset, length }) => [name, own.subarray(offset, offset + length)])) });
}

/** What is fed, checked here because the runtime's own message does not say which input it means. */
function fits(input: string, dtype: DType, sizes: readonly number[], data: Data): void {
  const length = sizes.reduce((product, size) => product * size, 1);
  const kind = data instanceof Float32Array ? 'float32' : data instanceof BigInt64Array ? 'int64' : 'bool';
  if (data.length !== length || kind !== dtype) throw new Error(`expected ${length} elements of ${dtype} for the input ${input}; got ${data.length} of ${kind}`);
}

const typed = (dtype: string, data: Data, sizes: readonly number[]): ort.Tensor => new ort.Tensor(dtype as 'float32', data as Float32Array, sizes);

async function run(name: string, from: readonly string[], feeds: Feeds): Promise<Answer> {
  const known = sessions.get(name);
  if (ended) throw new Error(`expected a run before the engine's release; got one after`);
  if (!known) throw new Error(`expected an open graph; got one that was never opened`);
  const { session, program } = known;
  const held = from.map((set) => sets.get(set));
  const trained = held[0]?.layout;
  const fed: Record<string, ort.Tensor> = {};
  for (const { name: input, dtype, sizes } of program.inputs) {
    const data = feeds[input] ?? held.find((set) => set?.values.has(input))?.values.get(input);
    if (!data) throw new Error(`expected a value for the input ${input}; got neither a feed nor a parameter of the set ${from.join(' or ')}`);
    fits(input, dtype, sizes, data);
    fed[input] = typed(dtype, data, sizes);
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
  };
}

/** Puts the graph's name before a message. */
const named = (name: string) => (error: unknown): never => {
  throw new Error(`${name}: ${messageOf(error)}`);
};

async function handle(job: SessionJob): Promise<{ answer: Answer | undefined; transfer?: readonly ArrayBuffer[] }> {
  switch (job.kind) {
    case 'open':
      await open(job.program).catch(named(job.program.name));
      return { answer: undefined };
    case 'close':
      await close(job.program);
      return { answer: undefined };
    case 'parameters':
      keep(job.set, job.layout, job.values);
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
