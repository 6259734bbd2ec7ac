import { defined } from '../../defined.js';
import { UsageError } from '../../errors.js';
import { deviceOf, workersOn } from '../../models/device.js';
import { coordinatesOf, openPolicy, patchMaskHead, type OpenPolicyOptions } from '../../models/policies.js';
import type { Policy, Resumable, Trainable } from '../../models/policy.js';
import type { Segmenter } from '../../models/segmenter.js';
import { openSegmenter, type SegmenterChoice } from '../../models/segmenters.js';
import { promptOfTask, prompts } from '../../prompts/seg-r1.js';
import type { Trainee } from './checkpointer.js';
import type { PolicyOptions } from '../settings.js';
import type { StageContext, PipelineContext } from '../stage.js';

/** The shared resources of one run, and their release. */
export interface Resources extends StageContext {
  /** Releases everything that was opened, last first, each once; waits for running jobs. Safe to call twice. */
  release(): Promise<void>;
}

/** Models that a run shares with another, which neither opens nor releases them. */
export type SharedModels = Partial<Pick<StageContext, 'policy' | 'segmenter'>>;

/** Resources that are opened at a stage's first request, and shared. */
export function openResources(
  given: Omit<StageContext, 'segmenter' | 'policy' | 'coordinates' | 'trainable' | 'shared'>,
  trainee: Pick<Trainee, 'take'>,
  sharedModels: SharedModels = {},
): Resources {
  const made = new Map<string, Promise<unknown>>();
  const releases: (() => Promise<void>)[] = [];

  function shared<T>(name: string, make: () => T | Promise<T>, release: (made: T) => void | Promise<void>): Promise<T> {
    const before = made.get(name);
    if (before) return before as Promise<T>;
    const making = (async () => {
      const it = await make();
      releases.push(async () => release(it));
      return it;
    })();
    made.set(name, making);
    return making;
  }

  const policy = (): Promise<Policy & Resumable & Trainable> =>
    shared(
      'policy',
      () => openNamedPolicy(given, given.fact('patchMask')?.value ?? 0, (text) => given.emit({ kind: 'notice', text })),
      (opened) => opened.release(),
    );

  return {
    ...given,
    shared,
    policy,
    async trainable() {
      const opened = await policy();
      await trainee.take(opened);
      return opened;
    },
    async coordinates() {
      if (sharedModels.policy) return (await sharedModels.policy()).coordinates;
      const { policy: options } = given.settings;
      return options ? await coordinatesOf(options.checkpoint) : 'pixels';
    },
    segmenter: () =>
      shared(
        'segmenter',
        () => openNamedSegmenter(given.settings.segmenter, (text) => given.emit({ kind: 'notice', text })),
        (segmenter) => segmenter.release(),
      ),
    ...sharedModels,
    async release() {
      await Promise.allSettled(made.values());
      const failed: unknown[] = [];
      for (const release of releases.splice(0).toReversed())
        await release().catch((error: unknown) => failed.push(error));
      if (failed.length > 0) throw failed[0];
    },
  };
}

async function openNamedPolicy(
  { settings: { policy: options, seed }, updatesPolicy }: PipelineContext,
  patchMask: number,
  notice: (text: string) => void,
): Promise<Policy & Resumable & Trainable> {
  if (!options) throw new UsageError('policy: expected the key "policy" in the pipeline; got none');
  const device = deviceOf(options);
  const workers = workersOn(device, options.workers);
  const { checkpoint, adapter, threads, batch, tokens, gradientCheckpointing, optimizer, prompt, save } = options;
  const { precision, runtime } = options;
  // Frozen weights stay memory-mapped.
  const train = updatesPolicy ? options.train : adapter === undefined ? 'none' : options.train;
  const extra = patchMask > 0 ? patchMaskHead : undefined;
  return await openPolicy(checkpoint, {
    workers,
    threads,
    batch,
    gradientCheckpointing,
    optimizer: optimizer === 'host' ? 'host' : 'device',
    seed,
    precision,
    runtime,
    device,
    notice,
    ...defined({ train, adapter, tokens, save, extra, prompt: prompt && askedOf(prompt) }),
  });
}

function askedOf(prompt: NonNullable<PolicyOptions['prompt']>): NonNullable<OpenPolicyOptions['prompt']> {
  if (prompt === 'byTask') return promptOfTask;
  return typeof prompt === 'string' ? prompts[prompt] : { user: prompt.user, ...defined({ system: prompt.system }) };
}

async function openNamedSegmenter(
  choice: SegmenterChoice | undefined,
  notice: (text: string) => void,
): Promise<Segmenter> {
  if (!choice) throw new UsageError('segmenter: expected the key "segmenter" in the pipeline; got none');
  return await openSegmenter(choice, notice);
}
