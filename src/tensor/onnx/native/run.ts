/**
 * Runs of one graph: fed inputs are copied to the device, held ones are used in place, outputs are copied back after
 * the run.
 */
import { pointerAt, type Pointer } from './api.js';
import type { Device } from './device.js';
import { count } from './elements.js';
import type { Data, DType } from '../../graph.js';
import type { Held } from './held.js';
import { recognised } from './out-of-memory.js';
import { deviceTensor, hostTensor, readTensor, sizesOf } from './tensors.js';
import type { Weights } from './weights.js';
import type { Input, Output, Result, Session } from '../runtime.js';

/** @param session is now owned here. */
export function sessionOf(device: Device, weights: Weights, session: Pointer): Session<Held> {
  return {
    async run(inputs, outputs) {
      try {
        return run(device, weights, session, inputs, outputs);
      } catch (error) {
        throw recognised(error);
      }
    },
    release: async () => device.api.release('Session', session),
  };
}

function run(
  device: Device,
  weights: Weights,
  session: Pointer,
  inputs: readonly Input<Held>[],
  outputs: readonly Output<Held>[],
): Result<Held>[] {
  const placed = inputs.flatMap(({ dtype, sizes, from }) =>
    'place' in from ? [{ place: from.place, dtype, sizes }] : [],
  );
  const values = weights.load(placed).values();
  const fed = inputs.map(({ name, dtype, sizes, from }): Bound => {
    if ('data' in from) return { name, dtype, sizes, data: from.data };
    return { name, dtype, sizes, at: ('held' in from ? from.held : (values.next().value as Held)).at };
  });
  const fetched = outputs.map(({ name, dtype, sizes, into, keep }): Bound | Unbound => {
    if (into === undefined) return { name, keep: keep === true };
    return into instanceof Float32Array ? { name, dtype, sizes, data: into } : { name, dtype, sizes, at: into.at };
  });
  return runBound(device, session, fed, fetched, (binding) => results(device, binding, outputs));
}

/** A tensor over an array, or over memory of the device. */
export type Bound = { readonly name: string; readonly dtype: DType; readonly sizes: readonly number[] } & (
  | { readonly data: Data }
  | { readonly at: Pointer }
);

/** An output that the runtime allocates: on the device if kept, else on the host. */
export interface Unbound {
  readonly name: string;
  readonly keep: boolean;
}

/**
 * Runs a graph once.
 *
 * @param take reads the results before they are freed.
 */
export function runBound<T>(
  device: Device,
  session: Pointer,
  inputs: readonly Bound[],
  outputs: readonly (Bound | Unbound)[],
  take: (binding: Pointer) => T,
): T {
  const { api } = device;
  const made: Pointer[] = [];
  const binding = api.make('CreateIoBinding', session);
  const tensorOf = (one: Bound): Pointer => {
    const tensor =
      'data' in one
        ? hostTensor(device, one.data, one.dtype, one.sizes)
        : deviceTensor(device, one.at, one.dtype, one.sizes);
    made.push(tensor);
    return tensor;
  };
  const options = api.make('CreateRunOptions');
  try {
    for (const one of inputs) api.call('BindInput', binding, one.name, tensorOf(one));
    for (const one of outputs) {
      if ('keep' in one) api.call('BindOutputToDevice', binding, one.name, one.keep ? device.device : device.host);
      else api.call('BindOutput', binding, one.name, tensorOf(one));
    }
    api.call('RunWithBinding', session, options, binding);
    return take(binding);
  } finally {
    api.release('RunOptions', options);
    api.release('IoBinding', binding);
    for (const tensor of made) api.release('Value', tensor);
  }
}

function results(device: Device, binding: Pointer, outputs: readonly Output<Held>[]): Result<Held>[] {
  const { api, hostAllocator } = device;
  const [tensors] = api.several('GetBoundOutputValues', binding, hostAllocator) as [Pointer];
  const all = outputs.map((_, i) => pointerAt(tensors, i));
  api.call('AllocatorFree', hostAllocator, tensors);
  return outputs.map(({ name, dtype, into, keep }, i): Result<Held> => {
    const tensor = all[i];
    const sizes = sizesOf(device, tensor);
    if (keep) return { name, sizes, held: keptTensor(device, tensor, dtype, sizes) };
    const data = into ? {} : { data: readTensor(device, tensor, dtype) };
    api.release('Value', tensor);
    return { name, sizes, ...data };
  });
}

function keptTensor({ api }: Device, tensor: Pointer, dtype: DType, sizes: readonly number[]): Held {
  let free = (): void => {
    free = () => {};
    api.release('Value', tensor);
  };
  return { at: api.make('GetTensorMutableData', tensor), length: count(sizes), kinds: [dtype], free: () => free() };
}
