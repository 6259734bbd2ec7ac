/** Runs of one graph: what is fed is copied to the device, what it holds is used where it lies, outputs come back behind the run. */
import { pointerAt, type Pointer } from './api.js';
import type { Device } from './device.js';
import { count } from './elements.js';
import type { DType } from '../graph.js';
import type { Held } from './held.js';
import { recognised } from './out-of-memory.js';
import { deviceTensor, hostTensor, readTensor, sizesOf } from './tensors.js';
import type { Weights } from './weights.js';
import type { Input, Output, Result, Session } from '../runtime.js';

/** @param session is the caller's no longer. */
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

function run(device: Device, weights: Weights, session: Pointer, inputs: readonly Input<Held>[], outputs: readonly Output[]): Result<Held>[] {
  const { api } = device;
  const placed = inputs.flatMap(({ dtype, sizes, from }) => ('place' in from ? [{ place: from.place, dtype, sizes }] : []));
  const values = weights.load(placed).values();
  const made: Pointer[] = [];
  const binding = api.make('CreateIoBinding', session);
  const own = (tensor: Pointer): Pointer => {
    made.push(tensor);
    return tensor;
  };
  try {
    for (const { name, dtype, sizes, from } of inputs) {
      const tensor = 'data' in from ? hostTensor(device, from.data, dtype, sizes) : deviceTensor(device, ('held' in from ? from.held : (values.next().value as Held)).at, dtype, sizes);
      api.call('BindInput', binding, name, own(tensor));
    }
    for (const { name, dtype, sizes, into, keep } of outputs) {
      if (into) api.call('BindOutput', binding, name, own(hostTensor(device, into, dtype, sizes)));
      else api.call('BindOutputToDevice', binding, name, keep ? device.device : device.host);
    }
    runBound(device, session, binding);
    return results(device, binding, outputs);
  } finally {
    api.release('IoBinding', binding);
    for (const tensor of made) api.release('Value', tensor);
  }
}

function runBound({ api }: Device, session: Pointer, binding: Pointer): void {
  const options = api.make('CreateRunOptions');
  try {
    api.call('RunWithBinding', session, options, binding);
  } finally {
    api.release('RunOptions', options);
  }
}

function results(device: Device, binding: Pointer, outputs: readonly Output[]): Result<Held>[] {
  const { api, hostAllocator } = device;
  const [tensors] = api.several('GetBoundOutputValues', binding, hostAllocator) as [Pointer];
  const all = outputs.map((_, i) => pointerAt(tensors, i));
  api.call('AllocatorFree', hostAllocator, tensors);
  return outputs.map(({ name, dtype, into, keep }, i): Result<Held> => {
    const tensor = all[i] as Pointer;
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
