/** Where a policy's optimizer is, if the pipeline leaves it open: on a GPU that has room for it, else on the host. */
import { ModelError } from '../../errors.js';
import { hostMemory } from '../../gpu/host-memory.js';
import { roomOn } from '../../models/device.js';
import { countedWork } from '../../models/work-memory.js';
import type { PolicyOptions } from '../settings.js';
import type { PipelineContext } from '../stage.js';
import { anyUse, gigabytes } from './room.js';

/** Counts may be off by a tenth. */
const MARGIN = 1.1;

/** A place, and the notice about it if it is not the usual one. */
export interface Settled {
  readonly optimizer: 'device' | 'host';
  readonly notice?: string;
}

/**
 * Settles `auto`, so a run records where its optimizer was; nothing is opened.
 *
 * @param room free bytes of the device, from `roomOn`; `host` those of the machine.
 */
export async function settledOptimizer(
  around: PipelineContext,
  policy: PolicyOptions,
  room: (options: PolicyOptions) => number | undefined = roomOn,
  host: () => number = hostMemory,
): Promise<Settled> {
  if (policy.optimizer !== 'auto') return { optimizer: policy.optimizer };
  if (!policy.device.startsWith('cuda') || !around.updatesPolicy || policy.train !== 'full')
    return { optimizer: 'device' };
  const bytes = room(policy);
  const work = bytes === undefined ? undefined : await countedWork(policy.checkpoint, policy, true).catch(unreadable);
  if (!work || bytes === undefined) return { optimizer: 'device' };
  const use = anyUse(around, policy);
  const [there, away] = (['device', 'host'] as const).map((optimizer) => work.bytes(work.job, { ...use, optimizer }));
  const own = work.host(work.job);
  if (MARGIN * there <= bytes || own > host()) return { optimizer: 'device' };
  return {
    optimizer: 'host',
    notice: `optimizer: host, for an update of one prompt would take ${gigabytes(there)} of the device, which has ${gigabytes(bytes)}; so it takes ${gigabytes(away)}, and ${gigabytes(own)} of the host`,
  };
}

/** An unreadable folder is refused when it is opened, with a better message. */
function unreadable(error: unknown): undefined {
  if (error instanceof ModelError || error instanceof RangeError) return undefined;
  throw error;
}
