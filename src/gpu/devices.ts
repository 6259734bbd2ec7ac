import koffi from 'koffi';

/** A GPU as the driver describes it. */
export interface GpuDevice {
  /** As CUDA counts those that this process may see. */
  readonly index: number;
  readonly name: string;
  /** Bytes. */
  readonly memory: number;
  /** Compute capability, such as `8.6`. */
  readonly capability: string;
}

/** Explanations of the driver's error numbers (`CUresult`) with a known way out. */
const REASONS: Readonly<Record<number, string>> = {
  3: 'the driver is shutting down',
  100: 'no device that this process may see; way out: start the container with its GPUs, or look at CUDA_VISIBLE_DEVICES',
  101: 'a device number that is not there; way out: look at CUDA_VISIBLE_DEVICES',
  802: 'a system that is not ready; way out: start the fabric manager',
  803: 'a driver library and a kernel module of different versions; way out: restart the machine',
  804: 'a driver library for forward compatibility on a card without that; way out: take it out of LD_LIBRARY_PATH',
};

/** Compute capability's two numbers, and the table's version of CUDA. */
const [MAJOR, MINOR] = [75, 76];

/**
 * Asks the driver for its devices. A broken driver may end the process.
 *
 * @param library path of `libcuda.so.1`.
 * @throws {Error} with the driver's message.
 */
export function listDevices(library: string): readonly GpuDevice[] {
  const { call, number } = opened(library);
  call('cuInit', ['unsigned int'], 0);
  return Array.from({ length: number('cuDeviceGetCount', 'int') }, (_, index) => {
    const device = number('cuDeviceGet', 'int', ['int', index]);
    const name = Buffer.alloc(256);
    call('cuDeviceGetName', ['_Out_ uint8_t *', 'int', 'int'], name, name.length, device);
    const attribute = (which: number): number => number('cuDeviceGetAttribute', 'int', ['int', which], ['int', device]);
    return {
      index,
      name: name.toString('utf8', 0, name.indexOf(0)),
      memory: number('cuDeviceTotalMem_v2', 'size_t', ['int', device]),
      capability: `${attribute(MAJOR)}.${attribute(MINOR)}`,
    };
  });
}

/** Free bytes of a device; undefined if the driver doesn't say. */
export function freeMemory(library: string, index: number): number | undefined {
  try {
    const { call, number, pointer } = opened(library);
    call('cuInit', ['unsigned int'], 0);
    const device = number('cuDeviceGet', 'int', ['int', index]);
    call('cuCtxSetCurrent', ['void *'], pointer('cuDevicePrimaryCtxRetain', ['int', device]));
    const [free, total] = [[null], [null]] as [(number | null)[], (number | null)[]];
    call('cuMemGetInfo_v2', ['_Out_ size_t *', '_Out_ size_t *'], free, total);
    call('cuDevicePrimaryCtxRelease_v2', ['int'], device);
    return Number(free[0]);
  } catch {
    return undefined;
  }
}

/** Calls of the driver's library, all of which return a `CUresult`. */
function opened(library: string): {
  readonly call: (name: string, types: readonly string[], ...values: readonly unknown[]) => void;
  /** Calls a function that writes a number or pointer to its first argument. */
  readonly number: (name: string, type: string, ...values: readonly (readonly [string, unknown])[]) => number;
  readonly pointer: (name: string, ...values: readonly (readonly [string, unknown])[]) => unknown;
} {
  const driver = koffi.load(library);
  const call = (name: string, types: readonly string[], ...values: readonly unknown[]): void => {
    const code = driver.func(`int ${name}(${types.join(', ')})`)(...values) as number;
    if (code !== 0)
      throw new Error(`${library}  ${name}: expected 0; got ${code}, ${REASONS[code] ?? 'an error of the driver'}`);
  };
  const out = (name: string, type: string, values: readonly (readonly [string, unknown])[]): unknown => {
    const slot: unknown[] = [null];
    call(name, [`_Out_ ${type} *`, ...values.map(([kind]) => kind)], slot, ...values.map(([, value]) => value));
    return slot[0];
  };
  return {
    call,
    number: (name, type, ...values) => Number(out(name, type, values)),
    pointer: (name, ...values) => out(name, 'void *', values),
  };
}
