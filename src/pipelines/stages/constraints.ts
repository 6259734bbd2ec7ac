import { messageOf, UsageError } from '../../errors.js';
import type { Refusal, PipelineContext } from '../stage.js';

/** A completion is compared with its siblings, so it needs one: a group is at least 2. */
export function comparable({ fact }: PipelineContext): readonly Refusal[] {
  const { stage, value: { group = 2 } = {} } = fact('sampling') ?? {};
  if (group >= 2) return [];
  return [{ option: '', text: `expected ${stage}.group of at least 2, to compare within a group; got ${group}` }];
}

/** A question is answered once: a group is 1. */
export function alone({ fact }: PipelineContext): readonly Refusal[] {
  const { stage, value: { group = 1 } = {} } = fact('sampling') ?? {};
  if (group === 1) return [];
  return [{ option: '', text: `expected ${stage}.group of 1, for one answer a question; got ${group}` }];
}

/** A stage that gathers more rows than the window would wait for ever: `option` is at most the window. */
export function withinWindow(option: string, rows: number, { settings }: PipelineContext): readonly Refusal[] {
  if (rows <= settings.window) return [];
  return [{ option, text: `expected at most the window of ${settings.window}; got ${rows}; way out: window: ${rows}` }];
}

/** Limits of a draw, and where each is off. */
const UNLIMITED = { repetitionPenalty: 1, topK: 0, topP: 1, minP: 0 };

/**
 * Completions drawn under limits have the log-probs of the limited distribution; a step recomputes them with the
 * temperature alone.
 */
export function truncated({ fact }: PipelineContext): readonly string[] {
  const { stage, value = {} } = fact('sampling') ?? {};
  const limits = { ...UNLIMITED, ...value };
  const on = names(UNLIMITED)
    .filter((name) => limits[name] !== UNLIMITED[name])
    .map((name) => `${stage}.${name} ${limits[name]}`);
  if (on.length === 0) return [];
  return [
    `log-probs are recomputed at the temperature alone, and completions are drawn with ${on.join(', ')}: the ratio of new to old probability is not 1 even before a step`,
  ];
}

function names<T extends object>(value: T): (keyof T)[] {
  return Object.keys(value) as (keyof T)[];
}

/** Greedy decoding repeats one completion, so a group has nothing to compare. */
export function drawnAtAll({ fact }: PipelineContext): readonly Refusal[] {
  const { stage, value: { temperature = 1 } = {} } = fact('sampling') ?? {};
  if (temperature > 0) return [];
  return [
    {
      option: '',
      text: `expected ${stage}.temperature above 0; got ${temperature}, where every group is one completion over and over`,
    },
  ];
}

/** An objective without a ratio treats every row as on-policy. */
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

/** Whether advantages of that scale depend on the other groups of a step. */
export function isAcross(scale: string): boolean {
  return scale === 'batch' || scale === 'parts';
}

/** A spread over a step's groups must cover exactly the groups of the step. */
export function sameStep(
  { scale, groupsPerStep }: { readonly scale: string; readonly groupsPerStep: number },
  around: PipelineContext,
): readonly Refusal[] {
  if (!isAcross(scale)) return [];
  const taken = around.fact('rowsPerStep');
  if (taken && taken.value !== groupsPerStep) {
    const text = `expected as many as ${taken.stage} takes, ${taken.value}; got ${groupsPerStep}`;
    return [{ option: 'groupsPerStep', text }];
  }
  return withinWindow('groupsPerStep', groupsPerStep, around);
}

/** Tokens are picked by the completions' entropies, which must be there. */
export function entropiesTold(
  { topEntropy }: { readonly topEntropy: number },
  { fact }: PipelineContext,
): readonly Refusal[] {
  const { stage, value: { entropy = true } = {} } = fact('sampling') ?? {};
  if (topEntropy === 1 || entropy) return [];
  return [{ option: 'topEntropy', text: `expected ${stage}.entropy: true below 1; got ${topEntropy} without` }];
}

/** A group may be filtered only if the others' advantages don't depend on it. */
export function ownSpread(
  { dynamicSampling }: { readonly dynamicSampling?: number | undefined },
  { fact }: PipelineContext,
): readonly Refusal[] {
  const across = fact('acrossRows');
  if (dynamicSampling === undefined || !across) return [];
  const { option, value, without } = across.value;
  return [
    {
      option: 'dynamicSampling',
      text: `expected ${across.stage}.${option} ${without}, which look at each group by itself; got ${value}`,
    },
  ];
}

/** An adapter's base is the checkpoint, which is read-only. */
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
