/** Tensors that stay on the device: several share one block, which is freed with the last of them. */
import type { Pointer } from './api.js';
import type { Arena, Device } from './device.js';
import { widthOf } from './elements.js';
import type { DType } from '../../graph.js';
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

/** Tensors of a flat array's entries in one block. */
export function heldBy(arena: Arena, { entries }: Layout): ReadonlyMap<string, Held> {
  const held = allocate(
    arena,
    entries.map(({ length }) => ({ length, kinds: ['float32'] })),
  );
  return new Map(entries.map(({ name }, i) => [name, held[i]]));
}

/** Copies a flat array to its entries on the device; entries adjacent in both go in one piece. */
export function writeFlat(
  { transfer }: Device,
  layout: Layout,
  values: Float32Array,
  held: ReadonlyMap<string, Held>,
): void {
  for (const { at, from, to } of runsOf(layout, held)) transfer.write(at, values.subarray(from, to));
}

/** The reverse of `writeFlat`. */
export function readFlat(
  { transfer }: Device,
  layout: Layout,
  values: Float32Array,
  held: ReadonlyMap<string, Held>,
): void {
  for (const { at, from, to } of runsOf(layout, held)) transfer.read(values.subarray(from, to), at);
}

export function clearFlat({ transfer }: Device, layout: Layout, held: ReadonlyMap<string, Held>): void {
  for (const { at, from, to } of runsOf(layout, held)) transfer.clear(at, 4 * (to - from));
}

/** Elements that are adjacent both in the flat array and on the device. */
function runsOf(
  { entries }: Layout,
  held: ReadonlyMap<string, Held>,
): readonly { readonly at: Pointer; readonly from: number; readonly to: number }[] {
  const runs: { at: Pointer; from: number; to: number }[] = [];
  for (const { name, offset, length } of entries) {
    const { at } = held.get(name) as Held;
    const last = runs.at(-1);
    if (length === 0) continue;
    if (last && last.to === offset && last.at + BigInt(4 * (last.to - last.from)) === at) last.to += length;
    else runs.push({ at, from: offset, to: offset + length });
  }
  return runs;
}
