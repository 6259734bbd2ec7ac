/** Tensors that stay on the device: several lie in one block, which is freed with the last of them. */
import type { Pointer } from './api.js';
import type { Arena, Device } from './device.js';
import { widthOf } from './elements.js';
import type { DType } from '../graph.js';
import type { Extent } from '../runtime.js';
import type { Layout } from '../session.js';

/** Elements on the device. */
export interface Held {
  readonly at: Pointer;
  readonly length: number;
  /** Either kind of half where only their bits are known. */
  readonly kinds: readonly DType[];
  /** Gives the memory back; twice is once. */
  free(): void;
}

/** Kernels read several elements at once from addresses that are multiples of this. */
const ALIGNMENT = 256;

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/**
 * Makes room for tensors in one block, in order; what they hold is not set.
 *
 * @throws {OutOfMemoryError}
 */
export function allocate(arena: Arena, extents: readonly Extent[]): Held[] {
  if (extents.length === 0) return [];
  const sizes = extents.map(({ length, kinds: [dtype = 'float32'] }) => aligned(length * widthOf(dtype)));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  // The arena has no address for nothing.
  const block = arena.allocate(Math.max(bytes, ALIGNMENT));
  let left = extents.length;
  let offset = 0;
  return extents.map(({ length, kinds }, i): Held => {
    const at = block + BigInt(offset);
    offset += sizes[i] as number;
    let free = (): void => {
      free = () => {};
      if (--left === 0) arena.free(block);
    };
    return { at, length, kinds, free: () => free() };
  });
}

/** Copies a flat array to where its entries lie on the device; neighbours there and here go in one piece. */
export function writeFlat({ transfer }: Device, { entries }: Layout, values: Float32Array, held: ReadonlyMap<string, Held>): void {
  let from = 0;
  for (const [i, { name, offset, length }] of entries.entries()) {
    const next = entries[i + 1];
    const [own, other] = [held.get(name) as Held, next && (held.get(next.name) as Held)];
    if (next && other && next.offset === offset + length && other.at === own.at + BigInt(4 * length)) continue;
    const first = entries[from] as Layout['entries'][number];
    const part = values.subarray(first.offset, offset + length);
    if (part.length > 0) transfer.write((held.get(first.name) as Held).at, part);
    from = i + 1;
  }
}
