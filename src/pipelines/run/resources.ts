import { UsageError } from '../../errors.js';
import { deviceOf, workersOn } from '../../models/device.js';
import { openGrabCut } from '../../models/grabcut/segmenter.js';
import { openVlm, type VlmOptions, type VlmPolicy } from '../../models/vlm/policy.js';
import { promptOfTask, prompts } from '../../models/vlm/prompts.js';
import { patchMaskHead } from '../../models/vlm/supervised.js';
import { openSam2 } from '../../models/sam2/segmenter.js';
import type { Segmenter } from '../../models/segmenter.js';
import type { Checkpoints } from './checkpointer.js';
import type { PolicyOptions, SegmenterOptions } from '../settings.js';
import type { StageContext, PipelineContext } from '../stage.js';

/** The collaborators of one run, and how they are let go. */
export interface Resources extends StageContext {
  /** Releases everything that was opened, last first, each once; waits for running jobs. Safe to call twice. */
  release(): Promise<void>;
}

/** Models of a run that another one uses meanwhile: neither opened by that one nor released. */
export type SharedModels = Partial<Pick<StageContext, 'policy' | 'segmenter'>>;

/** Collaborators that are opened when a stage first asks, and shared by all that do. */
export function openResources(
  {
    learner,
    ...given
  }: Omit<StageContext, 'segmenter' | 'policy' | 'trainable' | 'shared'> & Pick<Checkpoints['forStages'], 'learner'>,
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

  const policy = (): Promise<VlmPolicy> =>
    shared(
      'policy',
      () => openPolicy(given, given.option('sft', 'patchMask'), (text) => given.emit({ kind: 'notice', text })),
      (opened) => opened.release(),
    );

  return {
    ...given,
    shared,
    policy,
    async trainable() {
      const opened = await policy();
      await learner(opened);
      return opened;
    },
    segmenter: () =>
      shared(
        'segmenter',
        () => openSegmenter(given.settings.segmenter),
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

async function openPolicy(
  { settings: { policy: options, seed }, updatesPolicy }: PipelineContext,
  patchMask: unknown,
  notice: (text: string) => void,
): Promise<VlmPolicy> {
  if (!options) throw new UsageError('policy: expected the key "policy" in the pipeline; got none');
  const device = deviceOf(options);
  const workers = workersOn(device, options.workers);
  const { checkpoint, adapter, threads, batch, tokens, recompute, prompt, save, precision, runtime } = options;
  // Weights that nothing will change are not read into memory that could be changed.
  const train = updatesPolicy ? options.train : adapter === undefined ? 'none' : options.train;
  const extra = typeof patchMask === 'number' && patchMask > 0 ? { extra: patchMaskHead } : {};
  const asked = prompt === undefined ? {} : { prompt: askedOf(prompt) };
  return await openVlm(checkpoint, {
    workers,
    threads,
    batch,
    recompute,
    seed,
    precision,
    runtime,
    device,
    notice,
    ...(train === undefined ? {} : { train }),
    ...(adapter === undefined ? {} : { adapter }),
    ...(tokens === undefined ? {} : { tokens }),
    ...(save === undefined ? {} : { save }),
    ...extra,
    ...asked,
  });
}

function askedOf(prompt: NonNullable<PolicyOptions['prompt']>): NonNullable<VlmOptions['prompt']> {
  if (prompt === 'byTask') return promptOfTask;
  return typeof prompt === 'string'
    ? prompts[prompt]
    : { user: prompt.user, ...(prompt.system === undefined ? {} : { system: prompt.system }) };
}

async function openSegmenter(options: SegmenterOptions | undefined): Promise<Segmenter> {
  if (!options) throw new UsageError('segmenter: expected the key "segmenter" in the pipeline; got none');
  switch (options.kind) {
    case 'grabcut': {
      const { kind: _, ...own } = options;
      return await openGrabCut(own);
    }
    case 'sam2': {
      const { kind: _, ...own } = options;
      return await openSam2(own);
    }
  }
}
