/** The result of inspecting a model of any kind: its files, and bytes of memory by part. */
import type { Tensors } from '../io/safetensors.js';
import type { Precision } from '../tensor/graph.js';

/** Contents of files, from their headers. */
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

/** A segmenter, and the memory of its runs. */
export interface InspectedSegmenter {
  readonly kind: 'segmenter';
  readonly folder: string;
  /** Its kind, as pipelines name it. */
  readonly architecture: string;
  /** Side of its input square, px. */
  readonly size: number;
  readonly parameters: number;
  /** The part of the files that a still image needs. */
  readonly stored: Stored;
  /** Stored tensors that nothing uses, a video model's memory aside. */
  readonly unused: readonly string[];
  /** Bytes of each cached image. */
  readonly embedding: number;
  /** The device whose memory is counted. */
  readonly device: 'cpu' | 'cuda';
  /** By job, bytes. */
  readonly memory: Readonly<Record<string, Memory>>;
}

/** The work that runs of a segmenter do. */
export interface SegmenterUse {
  /** Objects decoded in one run. */
  readonly prompts: number;
  /** The CPU by default, where everything is float32. */
  readonly device?: 'cpu' | 'cuda';
  readonly precision?: Precision;
}

/** @param names of the tensors to count; all by default. */
export function storedIn(tensors: Tensors, names: readonly string[] = tensors.names): Stored {
  const infos = names.map((name) => tensors.info(name));
  return {
    files: new Set(infos.map(({ file }) => file)).size,
    bytes: infos.reduce((sum, { bytes }) => sum + bytes, 0),
    dtypes: [...new Set(infos.map(({ dtype }) => dtype))],
  };
}

/** A sentence about stored tensors that nothing uses; undefined without any. */
export function unusedText(unused: readonly string[]): string | undefined {
  if (unused.length === 0) return undefined;
  const more = unused.length > 3 ? ` and ${unused.length - 3} more` : '';
  return `${unused.slice(0, 3).join(', ')}${more}`;
}

/** Non-zero parts, and their sum. */
export function summed(parts: Readonly<Record<string, number>>): Memory {
  const some = Object.fromEntries(Object.entries(parts).filter(([, bytes]) => bytes > 0));
  return { total: Object.values(some).reduce((sum, bytes) => sum + bytes, 0), parts: some };
}
