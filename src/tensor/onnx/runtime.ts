/** What an engine's thread computes with: today's two are onnxruntime-node and, on a GPU, ONNX Runtime's C API. */
import type { AdamArrays, AdamPiece } from '../adamw.js';
import type { Data, DType, Place } from '../graph.js';
import type { GraphFile, MemoryUse } from '../engine.js';
import type { Layout } from '../layout.js';
import type { Program } from './emit.js';

/** Opens graphs and holds tensors. `Value` is what it has of a tensor that it holds. */
export interface Runtime<Value = unknown> {
  /** @param placed inputs that lie in files, and come from there in every run. */
  open(program: Program | GraphFile, placed: ReadonlyMap<string, Place>): Promise<Session<Value>>;
  /**
   * Copies a flat array, a value for each entry; into those of an earlier array of the same layout where they are
   * given.
   */
  hold(layout: Layout, values: Float32Array, before?: ReadonlyMap<string, Value>): ReadonlyMap<string, Value>;
  /** Takes an array that is given away, halves as their bits. */
  own(values: Float32Array | Uint16Array): Value;
  extent(value: Value): Extent;
  release(values: Iterable<Value>): void;
  /** Says which places are still asked for; what was read of others is freed. */
  retain(places: readonly Place[]): void;
  /** Learning where sets are held; none where that is the host's work. */
  readonly learning?: SetLearning<Value>;
  /** What its memory holds; undefined where nobody counts. */
  memory(): MemoryUse | undefined;
  /** Called once, behind every session's release. */
  end(): Promise<void>;
}

/** A flat array's entries where they are held. */
export type HeldFlat<Value> = ReadonlyMap<string, Value>;

/** What an optimizer step changes, in one layout. */
export type HeldState<Value> = Readonly<Record<keyof AdamArrays, HeldFlat<Value>>>;

/** Optimizer steps on the device that holds a set. */
export interface SetLearning<Value> {
  /** Room for a flat array, all 0. */
  zeros(layout: Layout): HeldFlat<Value>;
  clear(layout: Layout, held: HeldFlat<Value>): void;
  read(layout: Layout, held: HeldFlat<Value>): Float32Array;
  /** Sum of squares. */
  squares(layout: Layout, held: HeldFlat<Value>): number;
  /** One step of AdamW. @param pieces as `piecesOf` makes them of the layout. */
  step(layout: Layout, state: HeldState<Value>, pieces: readonly AdamPiece[]): void;
}

/** How many elements there are, and what they may be: bits are halves of either kind. */
export interface Extent {
  readonly length: number;
  readonly kinds: readonly DType[];
}

/** What an array's elements may be. */
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

/** An input, and where it comes from. */
export interface Input<Value> {
  readonly name: string;
  readonly dtype: DType;
  /** None is -1. */
  readonly sizes: readonly number[];
  readonly from: { readonly data: Data } | { readonly held: Value } | { readonly place: Place };
}

/** An output, and where it goes. */
export interface Output<Value> {
  readonly name: string;
  readonly dtype: DType;
  readonly sizes: readonly number[];
  /** Takes the values, which are exactly as many; what is held may be an input of the same run as well. */
  readonly into?: Float32Array | Value;
  /** Whether it stays where it was computed. */
  readonly keep?: boolean;
}

/** What came of an output: `data` unless it went elsewhere. */
export interface Result<Value> {
  readonly name: string;
  readonly sizes: readonly number[];
  readonly data?: Data;
  readonly held?: Value;
}
