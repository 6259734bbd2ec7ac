/** Weights in files, on the device once for all graphs and sets. */
import { closeSync, openSync, readSync } from 'node:fs';

import type { Arena, Device } from './device.js';
import { count, widthOf } from './elements.js';
import { allocate, type Held } from './held.js';
import type { DType, Place } from '../../graph.js';

/** A part of a file that a graph reads. */
export interface Wanted {
  readonly place: Place;
  readonly dtype: DType;
  readonly sizes: readonly number[];
}

/** Buffer for bytes from a file to the device. */
const PIECE = 16 * 2 ** 20;

const keyOf = ({ file, offset }: Place): string => `${offset} ${file}`;

export class Weights {
  readonly #device: Device;
  readonly #arena: Arena;
  /** By place, then by type and length: two graphs may read one place differently. */
  readonly #known = new Map<string, Map<string, Held>>();
  #piece: Buffer | undefined;

  constructor(device: Device, arena: Arena) {
    this.#device = device;
    this.#arena = arena;
  }

  /**
   * Values of each place, in order; those not on the device yet are read into one block.
   *
   * @throws {OutOfMemoryError} and {Error} if a file ends too soon.
   */
  load(wanted: readonly Wanted[]): Held[] {
    const missing = new Map<string, Wanted>();
    for (const one of wanted) if (!this.#find(one)) missing.set(`${keyOf(one.place)} ${extentOf(one)}`, one);
    const fresh = [...missing.values()];
    if (fresh.length > 0) {
      const room = allocate(
        this.#arena,
        fresh.map(({ dtype, sizes }) => ({ kinds: [dtype], length: count(sizes) })),
      );
      try {
        this.#read(fresh, room);
      } catch (error) {
        for (const held of room) held.free();
        throw error;
      }
      for (const [i, one] of fresh.entries())
        this.#known.set(
          keyOf(one.place),
          (this.#known.get(keyOf(one.place)) ?? new Map<string, Held>()).set(extentOf(one), room[i]),
        );
    }
    return wanted.map((one) => this.#find(one) as Held);
  }

  /** Frees the values of all other places. */
  retain(places: readonly Place[]): void {
    const stays = new Set(places.map(keyOf));
    for (const [key, all] of this.#known) {
      if (stays.has(key)) continue;
      this.#known.delete(key);
      for (const held of all.values()) held.free();
    }
  }

  #find(one: Wanted): Held | undefined {
    return this.#known.get(keyOf(one.place))?.get(extentOf(one));
  }

  #read(wanted: readonly Wanted[], room: readonly Held[]): void {
    const both = wanted.map((one, i) => ({ one, held: room[i] }));
    for (const file of new Set(wanted.map(({ place }) => place.file))) {
      const descriptor = openSync(file, 'r');
      try {
        const inOrder = both
          .filter(({ one }) => one.place.file === file)
          .toSorted((a, b) => a.one.place.offset - b.one.place.offset);
        for (const { one, held } of inOrder) this.#copy(descriptor, one, held);
      } finally {
        closeSync(descriptor);
      }
    }
    this.#piece = undefined;
  }

  #copy(descriptor: number, { place: { file, offset }, dtype }: Wanted, { at, length }: Held): void {
    const bytes = length * widthOf(dtype);
    const piece = (this.#piece ??= Buffer.allocUnsafeSlow(PIECE));
    for (let done = 0; done < bytes;) {
      const read = readSync(descriptor, piece, 0, Math.min(PIECE, bytes - done), offset + done);
      if (read === 0) throw new Error(`${file}: expected ${bytes} bytes from ${offset} on; got ${done}`);
      this.#device.transfer.write(at + BigInt(done), piece.subarray(0, read));
      done += read;
    }
  }
}

const extentOf = ({ dtype, sizes }: Wanted): string => `${dtype} ${count(sizes)}`;
