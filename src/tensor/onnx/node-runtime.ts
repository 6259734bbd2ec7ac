/** The CPU, through onnxruntime-node: files are memory-mapped, other held values are JavaScript arrays. */
import * as ort from 'onnxruntime-node';

import type { Data, DType, Place } from '../graph.js';
import { GRADIENT, type GraphFile } from '../engine.js';
import type { Layout } from '../layout.js';
import { placed, type Program } from './emit.js';
import { mismatch, type Described } from './program-file.js';
import { kindsOf, type Input, type Output, type Result, type Runtime, type Session } from './runtime.js';

/** Held values. */
type Values = Float32Array | Uint16Array;

/** @param threads of one run. */
export function nodeRuntime(threads: number): Runtime<Values> {
  return {
    open: async (program, places) => sessionOf(await created(program, places, threads), places),
    hold,
    own: (values) => values,
    extent: (values) => ({ length: values.length, kinds: kindsOf(values) }),
    release() {},
    retain() {},
    memory: () => undefined,
    end: async () => {},
  };
}

async function created(
  program: Program | GraphFile,
  places: ReadonlyMap<string, Place>,
  threads: number,
): Promise<ort.InferenceSession> {
  const { bytes, folder } = 'file' in program ? { bytes: undefined } : placed(program, places);
  const options: ort.InferenceSession.SessionOptions = {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    // The first run of a graph allocates piece by piece, later ones with a plan in one block, and the arena would keep
    // both: twice the memory in training. Decoding token by token holds little, and its turns allocate faster with a
    // plan.
    enableMemPattern: !program.outputs.some(({ name }) => name.startsWith(GRADIENT)),
    // Errors are thrown; the runtime would print them as well.
    logSeverityLevel: 4,
    extra: {
      session: {
        // Spinning threads would take cores from other workers.
        intra_op: { allow_spinning: threads > 1 ? '1' : '0' },
        // A softmax over masked scores has many subnormal numbers, and arithmetic on those is slow.
        set_denormal_as_zero: '1',
        ...(folder === undefined ? {} : { model_external_initializers_file_folder_path: folder }),
      },
      // Outputs are behind copies that fix their order; without these all weights' gradients would be computed at the
      // end, and the values that they need kept until then.
      optimization: { disable_specified_optimizers: 'EliminateIdentity' },
    },
  };
  return 'file' in program ? opened(program, options) : ort.InferenceSession.create(bytes as Uint8Array, options);
}

/**
 * A session of a file. Missing or additional inputs and outputs are reported, since the runtime would only fail when it
 * runs.
 */
async function opened(program: GraphFile, options: ort.InferenceSession.SessionOptions): Promise<ort.InferenceSession> {
  const session = await ort.InferenceSession.create(program.file, options);
  const got = (all: readonly ort.InferenceSession.ValueMetadata[]): Described[] =>
    all.map((one) => ({ name: one.name, type: one.isTensor ? one.type : 'no tensor' }));
  const fault = mismatch(program, got(session.inputMetadata), got(session.outputMetadata));
  if (fault === undefined) return session;
  await session.release();
  throw new Error(fault);
}

function sessionOf(session: ort.InferenceSession, places: ReadonlyMap<string, Place>): Session<Values> {
  return {
    async run(inputs, outputs) {
      const results = await session.run(fed(inputs, places), fetches(outputs));
      return outputs.map(({ name, into }): Result<Values> => {
        const { dims, data } = results[name];
        return { name, sizes: [...dims], ...(into ? {} : { data: data as Data }) };
      });
    },
    release: () => session.release(),
  };
}

function fed(inputs: readonly Input<Values>[], places: ReadonlyMap<string, Place>): Record<string, ort.Tensor> {
  const fed: Record<string, ort.Tensor> = {};
  for (const { name, dtype, sizes, from } of inputs) {
    if (('place' in from ? from.place : undefined) !== places.get(name))
      throw new Error(`expected the input ${name} from where it was when the graph was opened; got another source`);
    if (!('place' in from)) fed[name] = typed(dtype, 'data' in from ? from.data : from.held, sizes);
  }
  return fed;
}

function fetches(outputs: readonly Output<Values>[]): Record<string, ort.Tensor | null> {
  return Object.fromEntries(
    outputs.map(({ name, dtype, sizes, into }) => [name, into ? typed(dtype, into, sizes) : null]),
  );
}

const typed = (dtype: DType, data: Data, sizes: readonly number[]): ort.Tensor =>
  new ort.Tensor(dtype as 'float32', data as Float32Array, sizes);

/** Views of a private copy, since the runtime refuses shared memory. */
function hold(layout: Layout, values: Float32Array, before?: ReadonlyMap<string, Values>): ReadonlyMap<string, Values> {
  const [known] = before?.values() ?? [];
  const own =
    known && known.buffer.byteLength === values.byteLength
      ? new Float32Array(known.buffer)
      : new Float32Array(values.length);
  own.set(values);
  return new Map(layout.entries.map(({ name, offset, length }) => [name, own.subarray(offset, offset + length)]));
}
