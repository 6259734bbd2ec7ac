import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { openSafetensors } from '../../io/safetensors.js';
import { storedIn, type Memory, type Stored } from '../inspected.js';
import { baseOf, readAdapterConfig } from './adapter.js';
import { readConfig, type QwenConfig } from '../qwen2_5_vl/config.js';
import { adapterOf, type Adapter } from './lora.js';
import { deviceMemoryOf } from './memory-cuda.js';
import { memoryOf, parameters, type Job, type Use } from './memory.js';
import { findWeights } from './weight-files.js';
import { weightShapes } from './weights.js';

/** A checkpoint, and what jobs on it need. */
export interface InspectedCheckpoint {
  readonly kind: 'checkpoint';
  readonly folder: string;
  readonly architecture: 'qwen2_5_vl';
  readonly parameters: {
    readonly all: number;
    readonly language: number;
    readonly vision: number;
    readonly embeddings: number;
  };
  /** The output head is the embedding table. */
  readonly tied: boolean;
  readonly stored: Stored;
  readonly use: Use;
  /** By job, bytes. */
  readonly memory: Readonly<Record<string, Memory>>;
}

/** An adapter, and its base where that is at hand. */
export interface InspectedAdapter {
  readonly kind: 'adapter';
  readonly folder: string;
  readonly rank: number;
  readonly parameters: number;
  readonly stored: Stored;
  /** As the adapter has it. */
  readonly base: string;
  readonly checkpoint?: InspectedCheckpoint;
}

/** An adapter of every linear layer of the language model. */
const LANGUAGE = { rank: 16, alpha: 32, pattern: String.raw`model\.language_model\..*_proj` };

/**
 * Looks at a folder with a Qwen2.5-VL or an adapter of one; reads configurations and headers, no weights.
 *
 * @param base of an adapter; the one that it names unless told.
 * @throws {ModelError} for what could not be opened either.
 */
export async function inspectVlm(
  folder: string,
  use: Use,
  base?: string,
): Promise<InspectedCheckpoint | InspectedAdapter> {
  if (!existsSync(join(folder, 'adapter_config.json'))) return await checkpoint(folder, use);
  const tensors = await openSafetensors(join(folder, 'adapter_model.safetensors'));
  const below = base ?? (await baseOf(folder));
  const there = base !== undefined || existsSync(join(below, 'config.json'));
  const adapter = there ? (await readAdapterConfig(folder, await readConfig(below))).adapter : undefined;
  return {
    kind: 'adapter',
    folder,
    rank: Math.min(...tensors.names.flatMap((name) => tensors.info(name).shape)),
    parameters: tensors.names.reduce(
      (sum, name) => sum + tensors.info(name).shape.reduce((product, size) => product * size, 1),
      0,
    ),
    stored: storedIn(tensors),
    base: below,
    ...(adapter ? { checkpoint: await checkpoint(below, use, adapter) } : {}),
  };
}

async function checkpoint(folder: string, use: Use, adapter?: Adapter): Promise<InspectedCheckpoint> {
  const config = await readConfig(folder);
  const stored = storedIn((await findWeights(folder, config)).tensors);
  const mapped = stored.dtypes.every((dtype) => dtype === 'F32');
  return {
    kind: 'checkpoint',
    folder,
    architecture: 'qwen2_5_vl',
    parameters: counted(config),
    tied: config.text.tied,
    stored,
    use,
    memory: memories(config, { ...use, mapped }, adapter),
  };
}

/** Weights of a shape, by what they are for. */
export function counted(config: QwenConfig): InspectedCheckpoint['parameters'] {
  const shapes = weightShapes(config);
  const isTable = (name: string): boolean => name === 'model.embed_tokens.weight' || name === 'lm_head.weight';
  const [all, vision, embeddings] = [
    parameters(shapes),
    parameters(shapes.filter(({ name }) => name.startsWith('visual.'))),
    parameters(shapes.filter(({ name }) => isTable(name))),
  ];
  return { all, language: all - vision - embeddings, vision, embeddings };
}

/**
 * What jobs need: a rollout; and, but for float16, training of all weights, and of an adapter, the given one or one of
 * the language model.
 */
export function memories(
  config: QwenConfig,
  use: Use,
  adapter: Adapter = adapterOf(config, LANGUAGE),
): Record<string, Memory> {
  const training: Record<string, Job> = { full: { kind: 'full' }, [`lora ${adapter.rank}`]: { kind: 'lora', adapter } };
  const jobs: Record<string, Job> = { rollout: { kind: 'rollout' }, ...(use.precision === 'float16' ? {} : training) };
  const count = use.device === 'cuda' ? deviceMemoryOf : memoryOf;
  return Object.fromEntries(Object.entries(jobs).map(([name, job]) => [name, count(config, job, use)]));
}
