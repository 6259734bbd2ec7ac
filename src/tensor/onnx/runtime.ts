/** The runtime of an engine's thread: onnxruntime-node or, on a GPU, ONNX Runtime's C API. */
import type { AdamArrays, AdamPiece } from '../adamw.js';
import type { Data, DType, Place } from '../graph.js';
import type { GraphFile, MemoryUse } from '../engine.js';
import type { Layout } from '../layout.js';
import type { Program } from './emit.js';

/** Opens graphs and holds tensors. `Value` is its type of a held tensor. */
export interface Runtime<Value = unknown> {
  /** @param placed inputs in files, which every run reads from there. */
  open(program: Program | GraphFile, placed: ReadonlyMap<string, Place>): Promise<Session<Value>>;
  /**
   * Copies a flat array, a value for each entry, in the layout's formats if the device has halves; into earlier values
   * of the same layout if given, in theirs.
   */
  hold(layout: Layout, values: Float32Array, before?: ReadonlyMap<string, Value>): ReadonlyMap<string, Value>;
  /** Takes ownership of an array, halves as their bits. */
  own(values: Float32Array | Uint16Array): Value;
  extent(value: Value): Extent;
  release(values: Iterable<Value>): void;
  /** Frees values of all places that are no longer used. */
  retain(places: readonly Place[]): void;
  /** Training on the device that holds the sets; undefined if the host does it. */
  readonly learning?: SetLearning<Value>;
  /** Use of its memory; undefined if it is not counted. */
  memory(): MemoryUse | undefined;
  /** Called once, after every session's release. */
  end(): Promise<void>;
}

/** A flat array's entries on their device. */
export type HeldFlat<Value> = ReadonlyMap<string, Value>;

/** The arrays that an optimizer step changes, in one layout. */
export type HeldState<Value> = Readonly<Record<keyof AdamArrays, HeldFlat<Value>>>;

/** Optimizer steps on the device that holds a set. */
export interface SetLearning<Value> {
  /** Room for a flat array, all 0. */
  zeros(layout: Layout): HeldFlat<Value>;
  clear(layout: Layout, held: HeldFlat<Value>): void;
  /** Copies as many elements as `into` has, from `from` on. */
  read(layout: Layout, held: HeldFlat<Value>, from: number, into: Float32Array): void;
  /** Sum of squares. */
  squares(layout: Layout, held: HeldFlat<Value>): number;
  /**
   * One step of AdamW.
   *
   * @param pieces of the layout, from `piecesOf`.
   */
  step(layout: Layout, state: HeldState<Value>, pieces: readonly AdamPiece[]): void;
}

/** Number and possible types of elements: bits are halves of either type. */
export interface Extent {
  readonly length: number;
  readonly kinds: readonly DType[];
}

/** Possible types of an array's elements. */
export function kindsOf(data: Data): readonly DType[] {
  if (data instanceof Float32Array) return ['float32'];
  if (data instanceof BigInt64Array) return ['int64'];
  return data instanceof Uint16Array ? ['bfloat16', 'float16'] : ['bool'];
}

/** One open graph. */
export interface Session<Value> {
  run(inputs: readonly Input<Value>[], outputs: readonly Output<Value>[]): Promise<readonly Result<Value>[]>;
  release(): Promise<void>;
}

/** An input and its source. */
export interface Input<Value> {
  readonly name: string;
  readonly dtype: DType;
  /** Without -1. */
  readonly sizes: readonly number[];
  readonly from: { readonly data: Data } | { readonly held: Value } | { readonly place: Place };
}

/** An output and its destination. */
export interface Output<Value> {
  readonly name: string;
  readonly dtype: DType;
  readonly sizes: readonly number[];
  /** Receives the values, exactly as many; a held one may also be an input of the same run. */
  readonly into?: Float32Array | Value;
  /** Whether it stays on the device. */
  readonly keep?: boolean;
}

/** The result of an output: `data`, or undefined if it has another destination. */
export interface Result<Value> {
  readonly name: string;
  readonly sizes: readonly number[];
  readonly data?: Data;
  readonly held?: Value;
}
