import { folderTensors } from '../../io/safetensors.js';
import { storedIn, type Memory, type Stored } from '../inspected.js';
import { readSam2Config } from './config.js';
import { decodeMemory, embeddingBytes, embedMemory, parameters } from './memory.js';
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
  /** By job, bytes. */
  readonly memory: Readonly<Record<string, Memory>>;
}

/**
 * Looks at a folder with a SAM 2.1; reads configurations and headers, no weights.
 *
 * @param prompts objects decoded in one run, of which there are at most 8.
 * @throws {ModelError} for what could not be opened either.
 */
export async function inspectSam2(folder: string, prompts: number): Promise<InspectedSam2> {
  const config = await readSam2Config(folder);
  const stored = storedIn(await folderTensors(folder), [...weightShapes(config).keys()]);
  const objects = Math.min(8, prompts);
  const memory = { embed: embedMemory(config), [`decode ${objects}`]: decodeMemory(config, objects) };
  return {
    kind: 'segmenter',
    folder,
    architecture: 'sam2',
    size: config.size,
    parameters: parameters(config),
    stored,
    embedding: embeddingBytes(config),
    memory,
  };
}
