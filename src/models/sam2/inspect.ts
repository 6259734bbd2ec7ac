import { folderTensors } from '../../io/safetensors.js';
import { storedIn, type InspectedSegmenter } from '../inspected.js';
import { readSam2Config } from './config.js';
import { decodeMemory, embeddingBytes, embedMemory, parameters } from './memory.js';
import { weightShapes } from './weights.js';

/**
 * Looks at a folder with a SAM 2.1; reads configurations and headers, no weights.
 *
 * @param prompts objects decoded in one run, of which there are at most 8.
 * @throws {ModelError} for what could not be opened either.
 */
export async function inspectSam2(folder: string, prompts: number): Promise<InspectedSegmenter> {
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
