/**
 * Whether a GPU has room for one prompt of a pipeline, checked before anything is opened; runs of several prompts split
 * themselves if they don't fit.
 */
import { ModelError } from '../../errors.js';
import { roomOn } from '../../models/device.js';
import { countedWork, type CountedWork, type Job, type Use } from '../../models/work-memory.js';
import { frameOf } from '../../operators/load-options.js';
import type { PolicyOptions } from '../settings.js';
import type { PipelineContext } from '../stage.js';

/** What a run asks for, and possible changes. */
interface Asked {
  readonly job: Job;
  readonly use: Use;
}

/**
 * The notice if one prompt with its completions needs more than the policy's device has free; undefined if it fits or
 * is unknown.
 *
 * @param room free bytes of the device, from `roomOn`.
 */
export async function roomNotice(
  around: PipelineContext,
  room: (options: PolicyOptions) => number | undefined = roomOn,
): Promise<string | undefined> {
  const { policy } = around.settings;
  const [bytes, use] = policy?.device.startsWith('cuda') ? [room(policy), useOf(around, policy)] : [];
  if (!policy || bytes === undefined || !use) return undefined;
  try {
    const work = await countedWork(policy.checkpoint, policy, around.updatesPolicy);
    if (!work) return undefined;
    const need = work.bytes(work.job, use);
    return need > bytes ? told(work, { job: work.job, use }, need, bytes) : undefined;
  } catch (error) {
    // An unreadable folder is refused when it is opened, with a better message.
    if (error instanceof ModelError || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The run of one prompt that a pipeline asks for; undefined where no stage writes completions. */
export function useOf(around: PipelineContext, policy: PolicyOptions): Use | undefined {
  const { group, maxTokens } = around.fact('sampling')?.value ?? {};
  const known = group !== undefined && maxTokens !== undefined && around.fact('source')?.value.frame !== undefined;
  return known ? anyUse(around, policy) : undefined;
}

/** The same; with one answer where none writes completions. */
export function anyUse({ fact }: PipelineContext, { precision, gradientCheckpointing, optimizer }: PolicyOptions): Use {
  const { frame = 768 } = fact('source')?.value ?? {};
  const { group = 1, maxTokens = 256 } = fact('sampling')?.value ?? {};
  const { width, height } = frameOf(frame as Parameters<typeof frameOf>[0]);
  return {
    frame: Math.round(Math.sqrt(width * height)),
    group,
    maxTokens,
    prompts: 1,
    precision,
    gradientCheckpointing,
    optimizer: optimizer === 'host' ? 'host' : 'device',
  };
}

export const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

function told(work: CountedWork, asked: Asked, need: number, room: number): string {
  const { job, use } = asked;
  const what = `${job.kind === 'rollout' ? 'a rollout' : 'an update'} of one prompt, frame ${use.frame}, group ${use.group}, maxTokens ${use.maxTokens}`;
  const takes = (changed: Asked): number => work.bytes(changed.job, changed.use);
  const all = changes(work, asked);
  const alone = all
    .map(({ name, change }) => ({ name, bytes: takes(change(asked)) }))
    .filter(({ bytes }) => bytes <= room);
  const ways = alone.map(({ name, bytes }) => `${name} (${gigabytes(bytes)})`);
  if (ways.length > 0)
    return `memory: counted ${gigabytes(need)} for ${what}; got ${gigabytes(room)}; way out: ${ways.join(', ')}`;
  const steps = all.map((_, i) => takes(all.slice(0, i + 1).reduce((before, { change }) => change(before), asked)));
  const enough = steps.findIndex((bytes) => bytes <= room);
  const together =
    enough < 0
      ? 'a smaller checkpoint'
      : `${all
          .slice(0, enough + 1)
          .map(({ name }) => name)
          .join(' with ')} (${gigabytes(steps[enough])})`;
  return `memory: counted ${gigabytes(need)} for ${what}; got ${gigabytes(room)}; way out: ${together}`;
}

interface Change {
  readonly name: string;
  readonly change: (asked: Asked) => Asked;
}

/** Changes that need less memory, first those that change results only by rounding. */
function changes({ adapter, unit }: CountedWork, { job, use }: Asked): readonly Change[] {
  const using = (name: string, more: Partial<Use>): Change => ({
    name,
    change: (asked) => ({ ...asked, use: { ...asked.use, ...more } }),
  });
  const half = (n: number): number => Math.ceil(n / 2);
  const frame = unit * half(Math.round(use.frame / unit));
  return [
    ...(job.kind !== 'rollout' && !use.gradientCheckpointing
      ? [using('gradientCheckpointing: true', { gradientCheckpointing: true })]
      : []),
    ...(job.kind === 'full' && use.optimizer !== 'host' ? [using('optimizer: host', { optimizer: 'host' })] : []),
    ...(use.precision === 'float32' ? [using('precision: bfloat16', { precision: 'bfloat16' })] : []),
    ...(job.kind === 'full'
      ? [
          {
            name: 'an adapter of rank 16 in place of all weights',
            change: (asked: Asked): Asked => ({ ...asked, job: adapter }),
          },
        ]
      : []),
    using(`frame: ${frame}`, { frame }),
    ...(use.group > 2 ? [using(`group: ${half(use.group)}`, { group: half(use.group) })] : []),
    ...(use.maxTokens > 1 ? [using(`maxTokens: ${half(use.maxTokens)}`, { maxTokens: half(use.maxTokens) })] : []),
  ];
}
