/** GPU memory of a policy's work, computed for any family. */
import { readPolicyConfig } from './families.js';
import { readAdapterConfig } from './vlm/adapter.js';
import type { VlmConfig } from './vlm/architecture.js';
import { adapterOf, languageAdapter } from './vlm/lora.js';
import { hostBytes, type Job, type Use } from './vlm/memory.js';
import type { Training } from './vlm/parameters.js';

export type { Job, Use } from './vlm/memory.js';

/** The work of a policy that is not opened. */
export interface CountedWork {
  readonly job: Job;
  /** Instead: an adapter of the language model. */
  readonly adapter: Job;
  /** Steps of a frame's side, px. */
  readonly unit: number;
  /** Peak bytes in use. */
  bytes(job: Job, use: Use): number;
  /** Bytes of the host's memory for an optimizer there: weights and moments in float32. */
  host(job: Job): number;
}

/**
 * The memory of a policy's work; no weight is read.
 *
 * @param learns whether weights change.
 * @returns undefined for a family without such a count.
 * @throws {ModelError} if the policy could not be opened. @throws {RangeError} for an adapter that hits no layer.
 */
export async function countedWork(
  checkpoint: string,
  choice: TrainingChoice,
  learns: boolean,
): Promise<CountedWork | undefined> {
  const config = await readPolicyConfig(checkpoint);
  const { architecture } = config;
  if (!architecture.deviceMemory) return undefined;
  return {
    job: learns ? await trainingJob(config, choice) : { kind: 'rollout' },
    adapter: { kind: 'lora', adapter: languageAdapter(config, 16, 32) },
    unit: config.vision.patch * config.vision.merge,
    bytes: (job, use) => architecture.deviceMemory?.(config, job, use).total ?? 0,
    host: (job) => hostBytes(config, job),
  };
}

/** Which weights of a policy learn, as options say it. */
export interface TrainingChoice {
  readonly train?: Training['train'] | undefined;
  readonly adapter?: string | undefined;
}

/** @throws {ModelError} as `readAdapterConfig`. @throws {RangeError} for an adapter that hits no layer. */
export async function trainingJob(config: VlmConfig, { train, adapter }: TrainingChoice): Promise<Job> {
  if (typeof train === 'object') return { kind: 'lora', adapter: adapterOf(config, train.lora) };
  return train === 'adapter' && adapter !== undefined
    ? { kind: 'lora', adapter: (await readAdapterConfig(adapter, config)).adapter }
    : { kind: 'full' };
}
