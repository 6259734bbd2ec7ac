/** AdamW on the device that holds the weights: its graph runs over the arrays piece by piece, in place. */
import { pointerAt, type Pointer } from './api.js';
import type { Arena, Device } from './device.js';
import { allocate, clearFlat, heldBy, readFlat, type Held } from './held.js';
import { runBound, type Bound } from './run.js';
import { openSession } from './sessions.js';
import { readTensor } from './tensors.js';
import type { AdamPiece } from '../../adamw.js';
import { graphOf } from '../../engine.js';
import { node, type Tensor } from '../../graph.js';
import { emit } from '../emit.js';
import { add, div, input, mul, sqrt, square, sub, sum } from '../../ops.js';
import type { HeldFlat, HeldState, SetLearning } from '../runtime.js';
import type { Layout } from '../../layout.js';

/** Elements of one run; a step's temporary values take a few times as much. */
const MOST = 2 ** 22;
/**
 * Elements that are summed in float32; their sums are added in float64, since a norm's rounding error grows with their
 * number.
 */
const ROW = 1024;
/** AdamW's settings, as scalars on the device. */
const SETTINGS = [
  'beta1',
  'rest1',
  'beta2',
  'rest2',
  'epsilon',
  'gradientScale',
  'kept',
  'stepSize',
  'spread',
] as const;
/** Alignment of scalars. */
const APART = 64;

const flat = (name: string): Tensor =>
  node({ kind: 'input', name }, [], 'float32', [{ name: 'element', size: MOST, ragged: true }]);

/** What `update` computes. */
function stepGraph(): Readonly<Record<string, Tensor>> {
  const s = Object.fromEntries(SETTINGS.map((name) => [name, input(name, 'float32', {})])) as Readonly<
    Record<(typeof SETTINGS)[number], Tensor>
  >;
  const scaled = mul(flat('gradient'), s.gradientScale);
  const first = add(mul(flat('first'), s.beta1), mul(scaled, s.rest1));
  const second = add(mul(flat('second'), s.beta2), mul(square(scaled), s.rest2));
  const moved = div(mul(first, s.stepSize), add(div(sqrt(second), s.spread), s.epsilon));
  return { newValues: sub(mul(flat('values'), s.kept), moved), newFirst: first, newSecond: second };
}

/** Sums of squares by rows. */
function squaresGraph(): Readonly<Record<string, Tensor>> {
  const values = node({ kind: 'input', name: 'values' }, [], 'float32', [
    { name: 'row', size: MOST / ROW, ragged: true },
    { name: 'element', size: ROW, ragged: true },
  ]);
  return { sums: sum(square(values), 'element') };
}

export class Learning implements SetLearning<Held> {
  readonly #device: Device;
  readonly #arena: Arena;
  /** Opened at first use. */
  #step: Pointer | undefined;
  #squares: Pointer | undefined;

  constructor(device: Device, arena: Arena) {
    this.#device = device;
    this.#arena = arena;
  }

  zeros(layout: Layout): HeldFlat<Held> {
    const held = heldBy(this.#arena, layout);
    this.clear(layout, held);
    return held;
  }

  clear(layout: Layout, held: HeldFlat<Held>): void {
    clearFlat(this.#device, layout, held);
  }

  read(layout: Layout, held: HeldFlat<Held>, from: number, into: Float32Array): void {
    readFlat(this.#device, layout, into, held, from);
  }

  squares(layout: Layout, held: HeldFlat<Held>): number {
    this.#squares ??= openSession(
      this.#device,
      emit(graphOf('squares', squaresGraph()), this.#device.options.provider),
    );
    let squares = 0;
    for (const { name, length } of layout.entries) {
      for (const part of rowsOf(held.get(name) as Held, length))
        for (const row of this.#rowSums(this.#squares, { name: 'values', ...part })) squares += row;
    }
    return squares;
  }

  step(layout: Layout, state: HeldState<Held>, pieces: readonly AdamPiece[]): void {
    this.#step ??= openSession(this.#device, emit(graphOf('adamw', stepGraph()), this.#device.options.provider));
    const [block] = allocate(this.#arena, [{ length: (SETTINGS.length * APART) / 4, kinds: ['float32'] }]) as [Held];
    try {
      let known = '';
      for (const [i, { name, length }] of layout.entries.entries()) {
        const settings = settingsOf(pieces[i]);
        if (known !== settings.join()) this.#device.transfer.write(block.at, spread(settings));
        known = settings.join();
        this.#over(this.#step, block.at, name, length, state);
      }
    } finally {
      block.free();
    }
  }

  end(): void {
    for (const session of [this.#step, this.#squares])
      if (session !== undefined) this.#device.api.release('Session', session);
  }

  #over(session: Pointer, settings: Pointer, name: string, length: number, state: HeldState<Held>): void {
    const parts = (array: keyof HeldState<Held>): Part[] => partsOf(state[array].get(name) as Held, length);
    const [values, gradient, first, second] = [parts('values'), parts('gradient'), parts('first'), parts('second')];
    const scalars = SETTINGS.map((label, i): Bound => ({
      name: label,
      dtype: 'float32',
      sizes: [],
      at: settings + BigInt(APART * i),
    }));
    for (const i of values.keys()) {
      const [w, g, m, v] = [values[i], gradient[i], first[i], second[i]] as [Part, Part, Part, Part];
      const inputs = [
        { name: 'values', ...w },
        { name: 'gradient', ...g },
        { name: 'first', ...m },
        { name: 'second', ...v },
        ...scalars,
      ];
      // Each is written after the only operation that reads it.
      runBound(
        this.#device,
        session,
        inputs,
        [
          { name: 'newValues', ...w },
          { name: 'newFirst', ...m },
          { name: 'newSecond', ...v },
        ],
        () => undefined,
      );
    }
  }

  #rowSums(session: Pointer, values: Bound): Float32Array {
    const device = this.#device;
    return runBound(device, session, [values], [{ name: 'sums', keep: false }], (binding) => {
      const [tensors] = device.api.several('GetBoundOutputValues', binding, device.hostAllocator) as [Pointer];
      const tensor = pointerAt(tensors, 0);
      device.api.call('AllocatorFree', device.hostAllocator, tensors);
      const sums = readTensor(device, tensor, 'float32') as Float32Array;
      device.api.release('Value', tensor);
      return sums;
    });
  }
}

/** A piece of an array on the device. */
interface Part {
  readonly dtype: 'float32';
  readonly sizes: readonly number[];
  readonly at: Pointer;
}

function partsOf({ at }: Held, length: number): Part[] {
  return Array.from({ length: Math.ceil(length / MOST) }, (_, i) => ({
    dtype: 'float32',
    sizes: [Math.min(MOST, length - i * MOST)],
    at: at + BigInt(4 * i * MOST),
  }));
}

/** As rows, with the rest as its own row. */
function rowsOf(held: Held, length: number): Part[] {
  return partsOf(held, length).flatMap(({ at, sizes: [own = 0] }) => {
    const rows = Math.floor(own / ROW);
    const left = own - rows * ROW;
    const part = (count: number, row: number, offset: number): Part[] =>
      count * row > 0 ? [{ dtype: 'float32', sizes: [count, row], at: at + BigInt(4 * offset) }] : [];
    return [...part(rows, ROW, 0), ...part(1, left, rows * ROW)];
  });
}

/** In the order of `SETTINGS`. */
function settingsOf({ beta1, beta2, epsilon, gradientScale, kept, stepSize, spread: root }: AdamPiece): number[] {
  return [beta1, 1 - beta1, beta2, 1 - beta2, epsilon, gradientScale, kept, stepSize, root];
}

function spread(settings: readonly number[]): Float32Array {
  const apart = new Float32Array(new ArrayBuffer(settings.length * APART));
  for (const [i, value] of settings.entries()) apart[(i * APART) / 4] = value;
  return apart;
}
