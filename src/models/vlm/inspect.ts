import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { ModelError } from '../../errors.js';
import { openSafetensors } from '../../io/safetensors.js';
import { storedIn, type Memory, type Stored } from '../inspected.js';
import { baseOf, readAdapterConfig } from './adapter.js';
import type { VlmConfig } from './architecture.js';
import type { Adapter } from './linear.js';
import { languageAdapter } from './lora.js';
import { averageBytes, hostBytes, memoryOf, parameters, type Job, type Use } from './memory.js';
import { findWeights } from './weight-files.js';

/** A checkpoint, and the memory of its jobs. */
export interface InspectedCheckpoint {
  readonly kind: 'checkpoint';
  readonly folder: string;
  /** The family's `model_type`. */
  readonly architecture: string;
  readonly parameters: {
    readonly all: number;
    readonly language: number;
    readonly vision: number;
    readonly embeddings: number;
  };
  /** The output head is the embedding table. */
  readonly tied: boolean;
  readonly stored: Stored;
  /** Stored tensors that nothing uses. */
  readonly unused: readonly string[];
  readonly use: Use;
  /** By job, bytes. */
  readonly memory: Readonly<Record<string, Memory>>;
  /** For a GPU: bytes of the host's memory that the job `full host` takes. */
  readonly host?: number;
}

/** An adapter, and its base if available. */
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

/**
 * Inspects the folder of a policy or an adapter; reads configurations and headers, no weights.
 *
 * @param readConfig of a checkpoint's folder, for any family.
 * @param base of an adapter; the one that it names by default.
 * @throws {ModelError} if the folder could not be opened either.
 */
export async function inspectVlm(
  folder: string,
  readConfig: (dir: string) => Promise<VlmConfig>,
  use: Use,
  base?: string,
): Promise<InspectedCheckpoint | InspectedAdapter> {
  if (!existsSync(join(folder, 'adapter_config.json'))) return await checkpoint(folder, await readConfig(folder), use);
  const tensors = await openSafetensors(join(folder, 'adapter_model.safetensors'));
  const below = base ?? (await baseOf(folder));
  const there = base !== undefined || existsSync(join(below, 'config.json'));
  const config = there ? await readConfig(below) : undefined;
  const adapter = config && (await readAdapterConfig(folder, config)).adapter;
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
    ...(config ? { checkpoint: await checkpoint(below, config, use, adapter) } : {}),
  };
}

async function checkpoint(
  folder: string,
  config: VlmConfig,
  use: Use,
  adapter?: Adapter,
): Promise<InspectedCheckpoint> {
  const { tensors, unused } = await findWeights(folder, config);
  const stored = storedIn(tensors);
  const mapped = stored.dtypes.every((dtype) => dtype === 'F32');
  return {
    kind: 'checkpoint',
    folder,
    architecture: config.architecture.modelTypes[0],
    parameters: counted(config),
    tied: config.text.tied,
    stored,
    unused,
    use,
    memory: memories(config, { ...use, mapped }, adapter),
    ...(use.device === 'cuda' && { host: hostBytes(config, { kind: 'full' }) + averageBytes(config, use) }),
  };
}

/** Numbers of weights, by purpose. */
export function counted(config: VlmConfig): InspectedCheckpoint['parameters'] {
  const { modules } = config.architecture;
  const shapes = config.architecture.weightShapes(config);
  const isTable = (name: string): boolean =>
    name === `${modules.embedding}.weight` || name === `${modules.head}.weight`;
  const [all, vision, embeddings] = [
    parameters(shapes),
    parameters(shapes.filter(({ name }) => name.startsWith(modules.vision))),
    parameters(shapes.filter(({ name }) => isTable(name))),
  ];
  return { all, language: all - vision - embeddings, vision, embeddings };
}

/** Training of all weights with the optimizer on the host. */
export const FULL_HOST = 'full host';

/**
 * Memory of jobs: a rollout; and, except in float16, training of all weights, on a GPU also with the optimizer on the
 * host, and of an adapter, the given one or one of the language model.
 */
export function memories(
  config: VlmConfig,
  use: Use,
  adapter: Adapter = languageAdapter(config, 16, 32),
): Record<string, Memory> {
  const count = use.device === 'cuda' ? onDevice : memoryOf;
  const rollout = { rollout: count(config, { kind: 'rollout' }, use) };
  if (use.precision === 'float16') return rollout;
  const full: Job = { kind: 'full' };
  return {
    ...rollout,
    full: count(config, full, use),
    ...(use.device === 'cuda' && { [FULL_HOST]: count(config, full, { ...use, optimizer: 'host' }) }),
    [`lora ${adapter.rank}`]: count(config, { kind: 'lora', adapter }, use),
  };
}

function onDevice(config: VlmConfig, job: Job, use: Use): Memory {
  const { architecture } = config;
  if (architecture.deviceMemory) return architecture.deviceMemory(config, job, use);
  throw new ModelError(
    `${architecture.modelTypes[0]}  memory: expected a family of which a GPU's memory is counted; got one without; way out: --device cpu`,
  );
}
