/** Rounds float32 values to halves on the device, as a graph's own cast does. */
import type { Pointer } from './api.js';
import type { Arena, Device } from './device.js';
import { widthOf } from './elements.js';
import { allocate, type Held } from './held.js';
import { runBound } from './run.js';
import { openSession } from './sessions.js';
import { graphOf } from '../../engine.js';
import { node, type Half } from '../../graph.js';
import { cast } from '../../ops.js';
import { emit } from '../emit.js';

/** Elements that lie on the device in float32 at once. */
const MOST = 2 ** 22;

export class Narrowing {
  readonly #device: Device;
  readonly #arena: Arena;
  /** Opened at first use. */
  readonly #sessions = new Map<Half, Pointer>();

  constructor(device: Device, arena: Arena) {
    this.#device = device;
    this.#arena = arena;
  }

  /** @param from on shared memory or not, as many elements as `to` has room for. */
  write(to: Held, half: Half, from: Float32Array): void {
    const length = Math.min(MOST, from.length);
    const [staged] = allocate(this.#arena, [{ length, kinds: ['float32'] }]) as [Held];
    try {
      for (let done = 0; done < from.length; done += MOST) {
        const piece = from.subarray(done, done + MOST);
        this.#device.transfer.write(staged.at, piece);
        const sizes = [piece.length];
        runBound(
          this.#device,
          this.#session(half),
          [{ name: 'values', dtype: 'float32', sizes, at: staged.at }],
          [{ name: 'halves', dtype: half, sizes, at: to.at + BigInt(widthOf(half) * done) }],
          () => undefined,
        );
      }
    } finally {
      staged.free();
    }
  }

  end(): void {
    for (const session of this.#sessions.values()) this.#device.api.release('Session', session);
  }

  #session(half: Half): Pointer {
    const values = node({ kind: 'input', name: 'values' }, [], 'float32', [
      { name: 'element', size: MOST, ragged: true },
    ]);
    const known =
      this.#sessions.get(half) ??
      // Halves, though on the CPU: its own dialect has none.
      openSession(this.#device, emit(graphOf('narrowing', { halves: cast(values, half) }), 'cuda', true));
    this.#sessions.set(half, known);
    return known;
  }
}
