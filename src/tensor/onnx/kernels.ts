import type { DType, Op } from '../graph.js';
import type { Dialect } from './operation.js';

const NUMBERS = ['float32', 'int64'] as const;
const FLOATS = ['float32', 'bfloat16', 'float16'] as const;
const WIDE = ['float32', 'int64', 'bool'] as const;
const ALL = [...FLOATS, 'int64', 'bool'] as const;

/** Element types that each operation is written for. */
const KERNELS: Readonly<Record<Op['kind'], readonly DType[]>> = {
  input: ALL,
  constant: WIDE,
  stored: FLOATS,
  state: ALL,
  unary: WIDE,
  binary: WIDE,
  compare: WIDE,
  where: NUMBERS,
  cast: ALL,
  reduce: NUMBERS,
  argmax: NUMBERS,
  cumsum: NUMBERS,
  top: NUMBERS,
  softmax: ['float32'],
  dot: FLOATS,
  reshape: ALL,
  transpose: ALL,
  expand: ALL,
  slice: ALL,
  pad: WIDE,
  concat: ALL,
  append: ALL,
  gather: ALL,
  scatterAdd: ['float32'],
  pick: ALL,
  rmsNorm: ['float32'],
  rotate: ['float32'],
  linear: FLOATS,
  layerNorm: ['float32'],
  attend: FLOATS,
  convolve: FLOATS,
  stopGradient: ALL,
  block: ALL,
  loop: ALL,
};

/** Element types among those that CUDA has no kernel for. The CPU has all: there halves are float32. */
const NOT_ON_CUDA: Readonly<Partial<Record<Op['kind'], readonly DType[]>>> = { argmax: ['int64'] };

/** Whether the runtime computes an operation on elements of a type. */
export function hasKernel({ kind }: Op, dtype: DType, dialect: Dialect): boolean {
  return KERNELS[kind].includes(dtype) && !(dialect === 'cuda' && NOT_ON_CUDA[kind]?.includes(dtype));
}
