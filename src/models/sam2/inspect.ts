import { folderTensors } from '../../io/safetensors.js';
import { storedIn, type InspectedSegmenter, type SegmenterUse } from '../inspected.js';
import { readSam2Config } from './config.js';
import { decodeMemory, deviceMemory, embeddingBytes, embedMemory, parameters } from './memory.js';
import { unusedTensors } from './stored.js';
import { weightShapes } from './weights.js';

/**
 * Inspects a folder with a SAM 2.1; reads configurations and headers, no weights.
 *
 * @throws {ModelError} if the folder could not be opened either.
 */
export async function inspectSam2(
  folder: string,
  { prompts, device = 'cpu', precision = 'float32' }: SegmenterUse,
): Promise<InspectedSegmenter> {
  const config = await readSam2Config(folder);
  const tensors = await folderTensors(folder);
  const used = weightShapes(config);
  const stored = storedIn(tensors, [...used.keys()]);
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
    unused: unusedTensors(tensors, used),
    embedding: embeddingBytes(config),
    memory,
  };
}
