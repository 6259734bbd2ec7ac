import type { Data, DType } from '../../graph.js';

/** Element types by ONNX's numbers, with widths in bytes and their typed arrays. */
const ELEMENTS = {
  float32: { element: 1, width: 4, array: Float32Array },
  int64: { element: 7, width: 8, array: BigInt64Array },
  bool: { element: 9, width: 1, array: Uint8Array },
  float16: { element: 10, width: 2, array: Uint16Array },
  bfloat16: { element: 16, width: 2, array: Uint16Array },
} as const satisfies Readonly<
  Record<DType, { readonly element: number; readonly width: number; readonly array: new (buffer: ArrayBuffer) => Data }>
>;

export const elementOf = (dtype: DType): number => ELEMENTS[dtype].element;

/** Bytes of one element. */
export const widthOf = (dtype: DType): number => ELEMENTS[dtype].width;

export function arrayOf(dtype: DType, buffer: ArrayBuffer): Data {
  return new ELEMENTS[dtype].array(buffer);
}

/** Declared element types of a file's inputs and outputs. */
export function dtypeOf(element: number): string {
  return Object.entries(ELEMENTS).find(([, known]) => known.element === element)?.[0] ?? `element type ${element}`;
}

export const count = (sizes: readonly number[]): number => sizes.reduce((product, size) => product * size, 1);
