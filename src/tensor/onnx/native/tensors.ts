/** The runtime's tensors over borrowed memory. */
import type { Pointer } from './api.js';
import type { Device } from './device.js';
import { arrayOf, count, elementOf, widthOf } from './elements.js';
import type { Data, DType } from '../../graph.js';

/** For empty arrays: the runtime needs an address. */
const NOTHING = new Uint8Array(new ArrayBuffer(8));

/** A tensor over an array, which must live as long as it is used. */
export function hostTensor({ api, host }: Device, data: Data, dtype: DType, sizes: readonly number[]): Pointer {
  // A small array's values may move until its buffer is requested.
  const bytes = data.byteLength > 0 ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : NOTHING;
  return api.make(
    'CreateTensorWithDataAsOrtValue',
    host,
    bytes,
    data.byteLength,
    BigInt64Array.from(sizes, BigInt),
    sizes.length,
    elementOf(dtype),
  );
}

/** A tensor over memory of the device. */
export function deviceTensor({ api, device }: Device, at: Pointer, dtype: DType, sizes: readonly number[]): Pointer {
  return api.make(
    'CreateTensorWithDataAsOrtValue',
    device,
    at,
    count(sizes) * widthOf(dtype),
    BigInt64Array.from(sizes, BigInt),
    sizes.length,
    elementOf(dtype),
  );
}

export function sizesOf({ api }: Device, tensor: Pointer): readonly number[] {
  const info = api.make('GetTensorTypeAndShape', tensor);
  const sizes = new BigInt64Array(Number(api.make('GetDimensionsCount', info)));
  if (sizes.length > 0) api.call('GetDimensions', info, sizes, sizes.length);
  api.release('TensorTypeAndShapeInfo', info);
  return Array.from(sizes, Number);
}

/** A copy of a tensor that lies on the host. */
export function readTensor(device: Device, tensor: Pointer, dtype: DType): Data {
  const data = arrayOf(dtype, new ArrayBuffer(count(sizesOf(device, tensor)) * widthOf(dtype)));
  if (data.length > 0) device.local.read(data, device.api.make('GetTensorMutableData', tensor));
  return data;
}
