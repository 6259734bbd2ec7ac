import { messageOf, UsageError } from '../../errors.js';
import type { Refusal, PipelineContext } from '../stage.js';

/** A completion is compared with its siblings, so it needs one: `rollout.group` is at least 2. */
export function comparable({ option }: PipelineContext): readonly Refusal[] {
  const group = option('rollout', 'group');
  if (typeof group !== 'number' || group >= 2) return [];
  return [{ option: '', text: `expected rollout.group of at least 2, to compare within a group; got ${group}` }];
}

/** A question is answered once: `rollout.group` is 1. */
export function alone({ option }: PipelineContext): readonly Refusal[] {
  const group = option('rollout', 'group');
  if (typeof group !== 'number' || group === 1) return [];
  return [{ option: '', text: `expected rollout.group of 1, for one answer a question; got ${group}` }];
}

/** A stage that gathers rows for a step waits for ever where fewer are let in: `option` is at most the window. */
export function withinWindow(option: string, rows: number, { settings }: PipelineContext): readonly Refusal[] {
  if (rows <= settings.window) return [];
  return [{ option, text: `expected at most the window of ${settings.window}; got ${rows}; way out: window: ${rows}` }];
}

/** Limits of a draw, and where each is off. */
const UNLIMITED = { repetitionPenalty: 1, topK: 0, topP: 1, minP: 0 };

/**
 * Completions drawn under limits carry the log-probs of what the limits leave; those that a step recomputes know the
 * temperature alone.
 */
export function truncated({ option }: PipelineContext): readonly string[] {
  const on = Object.entries(UNLIMITED).flatMap(([name, off]) => {
    const value = option('rollout', name);
    return typeof value === 'number' && value !== off ? [`rollout.${name} ${value}`] : [];
  });
  if (on.length === 0) return [];
  return [
    `log-probs are recomputed at the temperature alone, and completions are drawn with ${on.join(', ')}: the ratio of new to old probability is not 1 even before a step`,
  ];
}

/** An objective without a ratio takes every row for one of the policy as it is. */
export function unweighed(
  {
    objective,
    groupsPerStep,
    maxStaleness,
    correction,
  }: {
    readonly objective: unknown;
    readonly groupsPerStep: number;
    readonly maxStaleness?: number | undefined;
    readonly correction?: unknown;
  },
  { settings: { window } }: PipelineContext,
): readonly string[] {
  if (objective !== 'seg-r1' || window <= groupsPerStep || maxStaleness === 0 || correction !== undefined) return [];
  return [
    `seg-r1 has no ratio to weigh older rows by, and a window of ${window} over steps of ${groupsPerStep} lets them be written before the last step; way out: window: ${groupsPerStep}`,
  ];
}

/** A spread over a step's groups is taken over the very groups that the step takes. */
export function sameStep(
  { scale, groupsPerStep }: { readonly scale: string; readonly groupsPerStep: number },
  around: PipelineContext,
): readonly Refusal[] {
  if (scale !== 'batch' && scale !== 'parts') return [];
  const taken = around.option('update', 'groupsPerStep');
  if (typeof taken === 'number' && taken !== groupsPerStep)
    return [{ option: 'groupsPerStep', text: `expected as many as update takes, ${taken}; got ${groupsPerStep}` }];
  return withinWindow('groupsPerStep', groupsPerStep, around);
}

/** Tokens are picked by the entropies that completions come with, if they come with them. */
export function entropiesTold(
  { topEntropy }: { readonly topEntropy: number },
  { option, stages }: PipelineContext,
): readonly Refusal[] {
  if (topEntropy === 1 || !stages.includes('rollout') || option('rollout', 'entropy') === true) return [];
  return [{ option: 'topEntropy', text: `expected rollout.entropy: true below 1; got ${topEntropy} without` }];
}

/** A group may be left out of a step only where the others' advantages don't hang on it. */
export function ownSpread(
  { refill }: { readonly refill?: number | undefined },
  { option }: PipelineContext,
): readonly Refusal[] {
  const scale = option('advantage', 'scale');
  if (refill === undefined || (scale !== 'batch' && scale !== 'parts')) return [];
  return [
    {
      option: 'refill',
      text: `expected advantage.scale group or none, which look at each group by itself; got ${scale}`,
    },
  ];
}

/** Below an adapter lies the checkpoint, which is only read. */
export function ownReference(
  { reference }: { readonly reference?: unknown },
  { settings }: PipelineContext,
): readonly Refusal[] {
  const train = settings.policy?.train;
  if (reference === undefined || train === undefined || train === 'full') return [];
  return [
    {
      option: 'reference',
      text: 'expected policy.train: full, where the reference has weights of its own; got an adapter, whose reference is the checkpoint without it',
    },
  ];
}

/** What the caller's files are refused for, as a broken rule. */
export function refusedBy(look: () => unknown): readonly Refusal[] {
  try {
    look();
    return [];
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return [{ option: '', text: messageOf(error) }];
  }
}
