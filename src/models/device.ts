/** Where a model is computed and in what: the options that policies and segmenters share. */
import { z } from 'zod';

import { findCudaRuntime, surveyCuda } from '../gpu/find.js';
import type { Precision } from '../tensor/graph.js';
import type { Device } from '../tensor/session.js';

const UNITS = { MB: 1e6, GB: 1e9, MiB: 2 ** 20, GiB: 2 ** 30 } as const;
const SIZE = /^(\d+(?:\.\d+)?) ?(MB|GB|MiB|GiB)$/;
const CUDA = /^cuda(?::(\d+))?$/;

/** Keys of `policy` and of segmenters that a device can compute. */
export const deviceShape = {
  /** The processor, a CUDA device (the first, or `cuda:N`), or the fastest that works. */
  device: z.string().regex(/^(?:cpu|auto|cuda(?::\d+)?)$/, 'expected cpu, cuda, cuda:N or auto').default('cpu'),
  /** What matrix products, convolutions and attention are computed in, and frozen matrices held in; norms, softmax, sampling, losses and what learns are float32. */
  precision: z.enum(['float32', 'bfloat16', 'float16']).default('float32'),
  /** The most of a CUDA device's memory that is taken, such as `20GB`; all that is free unless told. */
  memory: z.string().regex(SIZE, 'expected a size such as 20GB or 900MiB').optional(),
  /** Whether a CUDA device may round the factors of float32 products to 10 bits, as it does unasked elsewhere. */
  tf32: z.boolean().default(false),
};

/** Options as `deviceShape` reads them. */
export interface DeviceChoice {
  readonly device: string;
  readonly precision: Precision;
  readonly memory?: string | undefined;
  readonly tf32: boolean;
}

/** The fastest device that works here, as options name it. */
export function fastestDevice(): 'cpu' | 'cuda:0' {
  return surveyCuda().missing.length === 0 ? 'cuda:0' : 'cpu';
}

/** @throws {CudaMissingError} naming what a CUDA device needs and is not there. */
export function checkDevice(device: string): void {
  if (CUDA.test(device)) findCudaRuntime();
}

/** A choice as an engine takes it; `auto` is settled here where nobody did before. */
export function deviceOf({ device, memory, tf32 }: Omit<DeviceChoice, 'precision'>): Device {
  const index = CUDA.exec(device === 'auto' ? fastestDevice() : device);
  if (!index) return { kind: 'cpu' };
  return { kind: 'cuda', index: Number(index[1] ?? 0), tf32, ...(memory === undefined ? {} : { memory: bytesOf(memory) }) };
}

/** @param size such as `20GB`, as `deviceShape` lets it through. */
export function bytesOf(size: string): number {
  const [, number, unit] = SIZE.exec(size) ?? [];
  return Math.floor(Number(number) * UNITS[unit as keyof typeof UNITS]);
}
