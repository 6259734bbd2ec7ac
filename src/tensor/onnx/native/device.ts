/**
 * One device for the sessions of this thread: the runtime's environment, the arena that all engines share, copies to
 * and from it.
 */
import { loadApi, pointerAt, textAt, type Api, type Pointer } from './api.js';
import { pinLibraries } from './libraries.js';
import { cudaTransfer, hostTransfer, type Transfer } from './memory.js';
import { recognised } from './out-of-memory.js';
import { OutOfMemoryError } from '../../../errors.js';
import { MEMORY_SHARE, type MemoryUse, type NativeLibraries } from '../../engine.js';

/** The device and its options. */
export interface DeviceOptions {
  readonly libraries: NativeLibraries;
  /** The CPU is for tests: only the device differs. */
  readonly provider: 'cpu' | 'cuda';
  /** As CUDA counts devices; 0 by default. */
  readonly index?: number;
  /** Bytes of the arena; on a GPU nine tenths of what is free by default. */
  readonly memory?: number;
  /** Whether a GPU's arena grows on demand, to measure it; else it is allocated at once. */
  readonly grow?: boolean;
  /** Whether products of float32 may round their factors to 10 bits. */
  readonly tf32?: boolean;
  /** Of one run on the host. */
  readonly threads: number;
  /**
   * On shared memory, one for all engines on the device: a lock, and their number. The first creates the arena, the
   * last frees it.
   */
  readonly users: Int32Array;
}

export interface Device {
  readonly api: Api;
  readonly env: Pointer;
  readonly options: DeviceOptions;
  /** Host memory of inputs and outputs; `device` is where sessions compute. */
  readonly host: Pointer;
  readonly device: Pointer;
  /** To and from the device, and within the host. */
  readonly transfer: Transfer;
  readonly local: Transfer;
  /** Frees memory that the runtime made on the host. */
  readonly hostAllocator: Pointer;
  /** Bytes that the arena's creator allocates at once. */
  readonly reserve: number | undefined;
  /** After every session's release. */
  release(): void;
}

const [DEVICE_ALLOCATOR, ARENA_ALLOCATOR, DEFAULT_MEMORY] = [0, 1, 0];
/** The arena allocates multiples of this. */
const UNIT = 256;
/** Only fatal errors are printed; others are thrown. */
const FATAL = 4;
/** A chunk is split if more than this would be left over; a smaller rest is wasted. */
const LOSS = 2n ** 20n;

/** @throws {Error} if a library is missing or of another version, or there is no such device. */
export function openDevice(options: DeviceOptions): Device {
  const { libraries, provider, index = 0 } = options;
  const api = loadApi(libraries);
  const local = hostTransfer();
  const transfer = provider === 'cuda' ? cudaTransfer(libraries, index) : local;
  const env = api.make('CreateEnv', FATAL, 'segr1');
  const host = api.make('CreateCpuMemoryInfo', DEVICE_ALLOCATOR, DEFAULT_MEMORY);
  const arena =
    provider === 'cuda'
      ? api.make('CreateMemoryInfo', 'Cuda', ARENA_ALLOCATOR, index, DEFAULT_MEMORY)
      : api.make('CreateCpuMemoryInfo', ARENA_ALLOCATOR, DEFAULT_MEMORY);
  let reserve: number | undefined;
  alone(options.users, (users) => {
    if (users > 0) return users + 1;
    const memory = options.memory ?? shareOf(transfer);
    register(api, env, arena, provider, memory);
    if (provider === 'cuda') pinLibraries(libraries);
    if (provider === 'cuda' && options.grow !== true) reserve = memory;
    return 1;
  });
  return {
    api,
    env,
    options,
    reserve,
    host,
    device: arena,
    transfer,
    local,
    hostAllocator: api.make('GetAllocatorWithDefaultOptions'),
    release() {
      alone(options.users, (users) => {
        if (users === 1) api.call('UnregisterAllocator', env, arena);
        return users - 1;
      });
      api.release('MemoryInfo', arena);
      api.release('MemoryInfo', host);
      api.release('Env', env);
    },
  };
}

function shareOf(transfer: Transfer): number | undefined {
  const room = transfer.room();
  return room && Math.floor(MEMORY_SHARE * room.free);
}

/**
 * Makes the arena. It grows by exactly what is requested: powers of two would take up to twice as much. But a cache
 * that grows by a row for each token leaves chunks of every size, so on a GPU it is better allocated at once, in one
 * piece.
 */
function register(
  api: Api,
  env: Pointer,
  arena: Pointer,
  provider: DeviceOptions['provider'],
  memory: number | undefined,
): void {
  const settings: readonly (readonly [name: string, value: bigint])[] = [
    ['arena_extend_strategy', 1n],
    ['max_dead_bytes_per_chunk', LOSS],
    ...(memory === undefined ? [] : [['max_mem', BigInt(Math.floor(memory))] as const]),
  ];
  const config = api.make(
    'CreateArenaCfgV2',
    settings.map(([name]) => name),
    BigUint64Array.from(settings, ([, value]) => value),
    settings.length,
  );
  try {
    api.call(
      'CreateAndRegisterAllocatorV2',
      env,
      provider === 'cuda' ? 'CUDAExecutionProvider' : 'CPUExecutionProvider',
      arena,
      config,
      [],
      [],
      0,
    );
  } finally {
    api.release('ArenaCfg', config);
  }
}

/** Changes the number of users while no other thread does. */
function alone(users: Int32Array, change: (count: number) => number): void {
  while (Atomics.compareExchange(users, 0, 0, 1) !== 0) Atomics.wait(users, 0, 1);
  try {
    users[1] = change(users[1]);
  } finally {
    Atomics.store(users, 0, 0);
    Atomics.notify(users, 0);
  }
}

/** The arena, through one of the sessions that use it. */
export interface Arena {
  /** Allocates memory from the device in advance. @throws {OutOfMemoryError} naming what is free. */
  reserve(bytes: number): void;
  /** @throws {OutOfMemoryError} */
  allocate(bytes: number): Pointer;
  free(at: Pointer): void;
  use(): MemoryUse;
  release(): void;
}

/** @param session must live as long as the arena is used. */
export function arenaOf({ api, device, transfer, options: { index = 0 } }: Device, session: Pointer): Arena {
  const allocator = api.make('CreateAllocator', session, device);
  const allocate = (bytes: number): Pointer => {
    try {
      return api.make('AllocatorAlloc', allocator, bytes);
    } catch (error) {
      throw recognised(error);
    }
  };
  const free = (at: Pointer): void => api.call('AllocatorFree', allocator, at);
  const count = (name: string): number => Number(pairs(api, api.make('AllocatorGetStats', allocator)).get(name) ?? 0);
  return {
    reserve(bytes) {
      try {
        free(allocate(Math.floor((bytes - count('TotalAllocated')) / UNIT) * UNIT));
      } catch (error) {
        const { free: left = 0, total = 0 } = transfer.room() ?? {};
        throw new OutOfMemoryError(
          `cuda:${index}  memory: expected ${bytes} bytes free on the device, in one piece; got ${left} of ${total}; way out: a smaller memory, or fewer processes there`,
          bytes,
          { cause: error },
        );
      }
    },
    allocate,
    free,
    use: () => ({ inUse: count('InUse'), taken: count('TotalAllocated'), most: count('MaxInUse') }),
    release: () => api.release('Allocator', allocator),
  };
}

function pairs(api: Api, made: Pointer): ReadonlyMap<string, string> {
  const [names, values, count] = api.several('GetKeyValuePairs', made) as [Pointer, Pointer, Pointer];
  const found = Array.from(
    { length: Number(count) },
    (_, i) => [textAt(pointerAt(names, i)), textAt(pointerAt(values, i))] as const,
  );
  api.release('KeyValuePairs', made);
  return new Map(found);
}
