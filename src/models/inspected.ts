/** What inspecting a model tells, whatever its kind: what lies in its files, and bytes of memory by part. */
import type { Tensors } from '../io/safetensors.js';
import type { Precision } from '../tensor/graph.js';

/** What lies in files, as their headers say. */
export interface Stored {
  readonly files: number;
  readonly bytes: number;
  readonly dtypes: readonly string[];
}

/** Bytes by part, and their sum. */
export interface Memory {
  readonly total: number;
  readonly parts: Readonly<Record<string, number>>;
}

/** A segmenter, and what runs of it need. */
export interface InspectedSegmenter {
  readonly kind: 'segmenter';
  readonly folder: string;
  /** Its kind, as pipelines name it. */
  readonly architecture: string;
  /** Side of the square that it looks at, px. */
  readonly size: number;
  readonly parameters: number;
  /** Of the files, what a still image needs. */
  readonly stored: Stored;
  /** Bytes that each kept image takes. */
  readonly embedding: number;
  /** Where the memory is. */
  readonly device: 'cpu' | 'cuda';
  /** By job, bytes. */
  readonly memory: Readonly<Record<string, Memory>>;
}

/** What runs of a segmenter are asked. */
export interface SegmenterUse {
  /** Objects decoded in one run. */
  readonly prompts: number;
  /** The CPU by default, on which all is float32. */
  readonly device?: 'cpu' | 'cuda';
  readonly precision?: Precision;
}

/** @param names of the tensors that are meant; all by default. */
export function storedIn(tensors: Tensors, names: readonly string[] = tensors.names): Stored {
  const infos = names.map((name) => tensors.info(name));
  return {
    files: new Set(infos.map(({ file }) => file)).size,
    bytes: infos.reduce((sum, { bytes }) => sum + bytes, 0),
    dtypes: [...new Set(infos.map(({ dtype }) => dtype))],
  };
}

/** Parts that are something, and their sum. */
export function summed(parts: Readonly<Record<string, number>>): Memory {
  const some = Object.fromEntries(Object.entries(parts).filter(([, bytes]) => bytes > 0));
  return { total: Object.values(some).reduce((sum, bytes) => sum + bytes, 0), parts: some };
}
