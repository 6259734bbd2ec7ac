/** Copies between JavaScript's memory and that of sessions. */
import koffi from 'koffi';

import type { Pointer } from './api.js';
import type { NativeLibraries } from '../../engine.js';

/** Copies bytes to and from addresses of one device, complete when a call returns. */
export interface Transfer {
  /** May be on shared memory. */
  write(to: Pointer, from: ArrayBufferView): void;
  read(to: ArrayBufferView, from: Pointer): void;
  /** Sets bytes to 0. */
  clear(at: Pointer, bytes: number): void;
  /** Total and free bytes of the device; undefined for host memory. */
  room(): { readonly free: number; readonly total: number } | undefined;
}

/** Host memory. */
export function hostTransfer(): Transfer {
  const move = koffi.load(null).func('memmove', 'void *', ['void *', 'const void *', 'size_t']) as (
    to: unknown,
    from: unknown,
    bytes: number,
  ) => unknown;
  const set = koffi.load(null).func('memset', 'void *', ['void *', 'int', 'size_t']) as (
    at: Pointer,
    value: number,
    bytes: number,
  ) => unknown;
  return {
    write: (to, from) => void move(to, from, from.byteLength),
    read: (to, from) => void move(to, from, to.byteLength),
    clear: (at, bytes) => void set(at, 0, bytes),
    room: () => undefined,
  };
}

const [TO_DEVICE, TO_HOST] = [1, 2];

/**
 * Memory of a CUDA device, through the CUDA runtime that the provider uses.
 *
 * @throws {Error} if none of the libraries is CUDA's runtime, or there is no such device.
 */
export function cudaTransfer({ libraries }: NativeLibraries, device: number): Transfer {
  const path = libraries.find((library) => /(^|\/)libcudart\.so/.test(library));
  if (path === undefined)
    throw new Error(`cuda  libraries: expected libcudart among them; got ${libraries.join(', ') || 'none'}`);
  const library = koffi.load(path);
  const describe = library.func('const char *cudaGetErrorString(int code)') as (code: number) => string;
  const check = (what: string, code: number): void => {
    if (code !== 0) throw new Error(`cuda  ${what}: ${describe(code)} (CUDA error ${code})`);
  };
  const select = library.func('int cudaSetDevice(int device)') as (device: number) => number;
  const copy = library.func('cudaMemcpy', 'int', ['void *', 'const void *', 'size_t', 'int']) as (
    to: unknown,
    from: unknown,
    bytes: number,
    kind: number,
  ) => number;
  const set = library.func('cudaMemset', 'int', ['void *', 'int', 'size_t']) as (
    at: Pointer,
    value: number,
    bytes: number,
  ) => number;
  const wait = library.func('int cudaStreamSynchronize(void *stream)') as (stream: null) => number;
  const info = library.func('cudaMemGetInfo', 'int', ['void *', 'void *']) as (
    free: BigInt64Array,
    total: BigInt64Array,
  ) => number;
  check(`device ${device}`, select(device));
  return {
    write(to, from) {
      check('copy to the device', copy(to, from, from.byteLength, TO_DEVICE));
      // Returns once the bytes are in a buffer of the driver; a session's own stream would not wait for them.
      check('copy to the device', wait(null));
    },
    read: (to, from) => check('copy from the device', copy(to, from, to.byteLength, TO_HOST)),
    clear(at, bytes) {
      check('clear', set(at, 0, bytes));
      check('clear', wait(null));
    },
    room() {
      const [free, total] = [new BigInt64Array(1), new BigInt64Array(1)];
      check('memory', info(free, total));
      return { free: Number(free[0]), total: Number(total[0]) };
    },
  };
}
