import { folderTensors } from '../../io/safetensors.js';
import type { Precision } from '../../tensor/graph.js';
import { storedIn, type Memory, type Stored } from '../inspected.js';
import { readSam2Config } from './config.js';
import { decodeMemory, deviceMemory, embeddingBytes, embedMemory, parameters } from './memory.js';
import { weightShapes } from './weights.js';

/** A segmenter, and what runs of it need. */
export interface InspectedSam2 {
  readonly kind: 'segmenter';
  readonly folder: string;
  readonly architecture: 'sam2';
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
interface Use {
  /** Objects decoded in one run, of which there are at most 8. */
  readonly prompts: number;
  /** The CPU unless told, on which all is float32. */
  readonly device?: 'cpu' | 'cuda';
  readonly precision?: Precision;
}

/**
 * Looks at a folder with a SAM 2.1; reads configurations and headers, no weights.
 *
 * @throws {ModelError} for what could not be opened either.
 */
export async function inspectSam2(
  folder: string,
  { prompts, device = 'cpu', precision = 'float32' }: Use,
): Promise<InspectedSam2> {
  const config = await readSam2Config(folder);
  const stored = storedIn(await folderTensors(folder), [...weightShapes(config).keys()]);
  const objects = Math.min(8, prompts);
  const [embed, decode] =
    device === 'cuda'
      ? [deviceMemory(config, precision), deviceMemory(config, precision)]
      : [embedMemory(config), decodeMemory(config, objects)];
  const memory = { embed, [`decode ${objects}`]: decode };
  return {
    kind: 'segmenter',
    device,
    folder,
    architecture: 'sam2',
    size: config.size,
    parameters: parameters(config),
    stored,
    embedding: embeddingBytes(config),
    memory,
  };
}
