/** Options for device and precision, shared by policies and segmenters. */
import { z } from 'zod';

import { messageOf, UsageError } from '../errors.js';
import { freeMemory, listDevices, type GpuDevice } from '../gpu/devices.js';
import { findCudaRuntime, surveyCuda } from '../gpu/find.js';
import type { Precision } from '../tensor/graph.js';
import { MEMORY_SHARE, type Device } from '../tensor/engine.js';
import { ENGINE_NAMES } from '../tensor/engines.js';

const UNITS = { MB: 1e6, GB: 1e9, MiB: 2 ** 20, GiB: 2 ** 30 } as const;
const SIZE = /^(\d+(?:\.\d+)?) ?(MB|GB|MiB|GiB)$/;
const CUDA = /^cuda(?::(\d+))?$/;

/** The engine that runs a model's graphs. */
export const Runtime = z.enum(ENGINE_NAMES);

/** Keys of `policy` and of segmenters that a device can compute. */
export const deviceShape = {
  /** The CPU, a CUDA device (the first, or `cuda:N`), or the fastest that works. */
  device: z
    .string()
    .regex(/^(?:cpu|auto|cuda(?::\d+)?)$/, 'expected cpu, cuda, cuda:N or auto')
    .default('cpu'),
  /**
   * Format of matrix products, convolutions, attention and frozen matrices; norms, softmax, sampling, losses and
   * trained weights are float32.
   */
  precision: z.enum(['float32', 'bfloat16', 'float16']).default('float32'),
  /**
   * Memory to allocate on a CUDA device, at once, such as `20GB`; nine tenths of what is free by default. Models of a
   * process share it: the first one's option counts.
   */
  memory: z.string().regex(SIZE, 'expected a size such as 20GB or 900MiB').optional(),
  /** Whether a CUDA device may round the factors of float32 products to 10 bits, which other programs do by default. */
  tf32: z.boolean().default(false),
};

/** More are a mistake: each worker has a copy of the weights, and a stack of its own. */
export const Workers = z.int().min(1).max(256);
/** Cores of one run. */
export const Threads = z.int().min(1).max(256);

/** Options of `deviceShape`. */
export interface DeviceChoice {
  readonly device: string;
  readonly precision: Precision;
  readonly memory?: string | undefined;
  readonly tf32: boolean;
}

/** The fastest device that works here, as options name it. */
export function fastestDevice(): 'cpu' | 'cuda:0' {
  const { driver, missing } = surveyCuda();
  if (!driver || missing.length > 0) return 'cpu';
  const there = devicesOf(driver.library);
  return there instanceof Error || there.length === 0 ? 'cpu' : 'cuda:0';
}

/** Devices that this process may see, or what the driver said instead. */
function devicesOf(driver: string): readonly GpuDevice[] | Error {
  try {
    return listDevices(driver);
  } catch (error) {
    return new Error(messageOf(error), { cause: error });
  }
}

/** @throws {UsageError} naming what a CUDA device lacks, or which devices there are. */
export function checkDevice(device: string): void {
  const cuda = CUDA.exec(device);
  if (!cuda) return;
  const [driver = ''] = findCudaRuntime().libraries;
  const there = devicesOf(driver);
  if (there instanceof Error) throw new UsageError(`cuda  driver: expected an answer; got ${there.message}`);
  if (Number(cuda[1] ?? 0) >= there.length)
    throw new UsageError(
      `expected ${there.map(({ index, name }) => `cuda:${index}, ${name}`).join('; ')}; got ${device}`,
    );
}

/** A choice for an engine; resolves `auto`. */
export function deviceOf({ device, memory, tf32 }: Omit<DeviceChoice, 'precision'>): Device {
  const index = CUDA.exec(device === 'auto' ? fastestDevice() : device);
  if (!index) return { kind: 'cpu' };
  return {
    kind: 'cuda',
    index: Number(index[1] ?? 0),
    tf32,
    ...(memory === undefined ? {} : { memory: bytesOf(memory) }),
  };
}

/** Bytes that models on a CUDA device will have; undefined on a CPU, and if neither the options nor the driver say. */
export function roomOn({ device, memory }: Omit<DeviceChoice, 'precision' | 'tf32'>): number | undefined {
  const index = CUDA.exec(device);
  if (!index) return undefined;
  if (memory !== undefined) return bytesOf(memory);
  const { driver } = surveyCuda();
  const free = driver && freeMemory(driver.library, Number(index[1] ?? 0));
  return free === undefined ? undefined : MEMORY_SHARE * free;
}

/** Threads that hold a model's weights; always one on a GPU. */
export const workersOn = (device: Device, allowed: number): number => (device.kind === 'cpu' ? allowed : 1);

/** @param size such as `20GB`, as `deviceShape` lets it through. */
export function bytesOf(size: string): number {
  const [, number, unit] = SIZE.exec(size) ?? [];
  return Math.floor(Number(number) * UNITS[unit as keyof typeof UNITS]);
}
