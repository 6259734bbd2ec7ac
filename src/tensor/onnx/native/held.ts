/** Tensors that stay on the device: several share one block, which is freed with the last of them. */
import type { Pointer } from './api.js';
import type { Arena, Device } from './device.js';
import { widthOf } from './elements.js';
import type { Narrowing } from './narrowing.js';
import { isHalf, type DType, type Half } from '../../graph.js';
import type { Extent } from '../runtime.js';
import type { Layout } from '../../layout.js';

/** Elements on the device. */
export interface Held {
  readonly at: Pointer;
  readonly length: number;
  /** Either half type if only the bits are known. */
  readonly kinds: readonly DType[];
  /** Frees the memory; idempotent. */
  free(): void;
}

/** Alignment, since kernels read several elements at once. */
const ALIGNMENT = 256;

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/**
 * Allocates tensors in one block, in order, uninitialised.
 *
 * @throws {OutOfMemoryError}
 */
export function allocate(arena: Arena, extents: readonly Extent[]): Held[] {
  if (extents.length === 0) return [];
  const sizes = extents.map(({ length, kinds: [dtype = 'float32'] }) => aligned(length * widthOf(dtype)));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  // The arena has no address for 0 bytes.
  const block = arena.allocate(Math.max(bytes, ALIGNMENT));
  let left = extents.length;
  let offset = 0;
  return extents.map(({ length, kinds }, i): Held => {
    const at = block + BigInt(offset);
    offset += sizes[i];
    let free = (): void => {
      free = () => {};
      if (--left === 0) arena.free(block);
    };
    return { at, length, kinds, free: () => free() };
  });
}

/** Tensors of a flat array's entries in one block. @param formats whether in those of the layout; else all float32. */
export function heldBy(arena: Arena, { entries }: Layout, formats = false): ReadonlyMap<string, Held> {
  const held = allocate(
    arena,
    entries.map(({ length, held: format }): Extent => ({
      length,
      kinds: [(formats ? format : undefined) ?? 'float32'],
    })),
  );
  return new Map(entries.map(({ name }, i) => [name, held[i]]));
}

/** Copies a flat array to its entries on the device; float32 entries adjacent in both go in one piece. */
export function writeFlat(
  { transfer }: Device,
  layout: Layout,
  values: Float32Array,
  held: ReadonlyMap<string, Held>,
  narrowing: Narrowing,
): void {
  const halves = layout.entries.filter(({ name }) => halfOf(held.get(name)) !== undefined);
  for (const { name, offset, length } of halves) {
    const to = held.get(name) as Held;
    if (length > 0) narrowing.write(to, halfOf(to) as Half, values.subarray(offset, offset + length));
  }
  for (const { at, from, to } of runsOf(layout, held)) transfer.write(at, values.subarray(from, to));
}

/**
 * Copies a part of float32 entries back: elements of the flat array from `from` on, as many as `into` has.
 *
 * @throws {Error} if entries are halves.
 */
export function readFlat(
  { transfer }: Device,
  layout: Layout,
  into: Float32Array,
  held: ReadonlyMap<string, Held>,
  first = 0,
): void {
  const half = layout.entries.find(({ name }) => halfOf(held.get(name)) !== undefined);
  if (half) throw new Error(`expected ${half.name} in float32 to read it back; got a half`);
  for (const { at, from, to } of runsOf(layout, held)) {
    const [start, end] = [Math.max(from, first), Math.min(to, first + into.length)];
    if (start < end) transfer.read(into.subarray(start - first, end - first), at + BigInt(4 * (start - from)));
  }
}

/** The format of halves, if they are. */
function halfOf(held: Held | undefined): Half | undefined {
  return held?.kinds.find(isHalf);
}

export function clearFlat({ transfer }: Device, layout: Layout, held: ReadonlyMap<string, Held>): void {
  for (const { at, from, to } of runsOf(layout, held)) transfer.clear(at, 4 * (to - from));
}

/** Float32 elements that are adjacent both in the flat array and on the device. */
function runsOf(
  { entries }: Layout,
  held: ReadonlyMap<string, Held>,
): readonly { readonly at: Pointer; readonly from: number; readonly to: number }[] {
  const runs: { at: Pointer; from: number; to: number }[] = [];
  for (const { name, offset, length } of entries) {
    const one = held.get(name) as Held;
    const { at } = one;
    const last = runs.at(-1);
    if (length === 0 || halfOf(one) !== undefined) continue;
    if (last && last.to === offset && last.at + BigInt(4 * (last.to - last.from)) === at) last.to += length;
    else runs.push({ at, from: offset, to: offset + length });
  }
  return runs;
}
