import { z } from 'zod';

import { defined } from '../../defined.js';
import { shown, UsageError } from '../../errors.js';
import type { Additions } from '../../objectives/compose.js';
import { cispo } from '../../objectives/cispo.js';
import type { Objective } from '../../objectives/objective.js';
import { checkedObjective } from '../../objectives/own.js';
import { bnpo, dapo, drGrpo, grpo, gspo, luspo, segR1, type Clipping } from '../../objectives/policy-gradient.js';
import { sapo } from '../../objectives/sapo.js';
import { vespo } from '../../objectives/vespo.js';
import { OptimizerOptions } from './schedule.js';

const Level = z.enum(['token', 'sequence']);
const Gamma = z.strictObject({ k: z.number().positive(), lambda: z.number().positive() });

/** Objectives by name; each cites its paper in `objectives`. */
export const ObjectiveName = z.enum([
  'grpo',
  'bnpo',
  'dr-grpo',
  'dapo',
  'cispo',
  'sapo',
  'gspo',
  'luspo',
  'vespo',
  'seg-r1',
]);
export type ObjectiveName = z.output<typeof ObjectiveName>;

const shape = {
  /**
   * How far the ratio of new to old probability may fall, and rise, before its gradient stops. @see PPO,
   * arXiv:1707.06347; apart, DAPO, arXiv:2503.14476
   */
  clip: z.number().positive().lt(1).optional(),
  clipHigh: z.number().positive().optional(),
  /**
   * The largest ratio that counts, above what `clipHigh` leaves: two-sided clipping, arXiv:2505.07291; of `cispo` the
   * cap, arXiv:2506.13585.
   */
  ratioMax: z.number().positive().optional(),
  /** Whether each token has a ratio of its own, or a completion one. @see GSPO, arXiv:2507.18071 */
  ratio: Level.optional(),
  /** Tokens that every completion's sum is divided by. @see Dr. GRPO, arXiv:2503.20783 */
  maxTokens: z.int().min(1).optional(),
  /** How sharply the gate of `sapo` closes, by the advantage's sign. @see arXiv:2511.20347 */
  gate: z
    .strictObject({ positive: z.number().positive().default(1), negative: z.number().positive().default(1.05) })
    .optional(),
  /** Power and decay of the weights of `vespo`, by the advantage's sign. @see arXiv:2602.10693 */
  gamma: z
    .strictObject({ positive: Gamma.default({ k: 2, lambda: 3 }), negative: Gamma.default({ k: 3, lambda: 2 }) })
    .optional(),
  /** Coefficient of the divergence from the policy as it was opened; 0 costs nothing. */
  kl: z.number().min(0).default(0),
  /**
   * Mixes a share of the policy into what it is measured from, every so many steps; 1 takes its place. @see TR-DPO,
   * arXiv:2404.09656
   */
  reference: z
    .strictObject({ every: z.int().min(1).default(512), mix: z.number().gt(0).max(1).default(0.6) })
    .optional(),
  /**
   * Whether the divergence is multiplied with the ratio, which makes its gradient unbiased. @see DeepSeek-V3.2,
   * arXiv:2512.02556
   */
  klCorrected: z.boolean().default(false),
  /**
   * Weighs tokens by how far the sampler's probabilities lie from the trainer's, which are then worked out once a
   * batch.
   */
  correction: z
    .strictObject({
      level: Level.default('sequence'),
      beyond: z.enum(['truncate', 'mask']).default('mask'),
      max: z.number().positive().default(3),
      min: z.number().positive().optional(),
    })
    .optional(),
  /**
   * Leaves out bad completions that lost more than so many nats a token since they were written. @see DeepSeek-V3.2,
   * arXiv:2512.02556
   */
  offPolicy: z.number().min(0).optional(),
  /** Coefficient of the mean entropy, which is taken off the loss. */
  entropyBonus: z.number().min(0).default(0),
  /**
   * Share of tokens that the advantage is taught at: those of the highest entropy when written. @see arXiv:2506.01939
   */
  topEntropy: z.number().min(0).max(1).default(1),
  /**
   * Whether completions that didn't end by themselves are learned from, or left out. @see DAPO, arXiv:2503.14476,
   * section 3.4
   */
  truncated: z.enum(['learn', 'leave']).default('learn'),
  /** Groups in one optimizer step. */
  groupsPerStep: z.int().min(1).default(8),
  /**
   * Leaves out groups whose completions all earned the same, and takes up to so many times `groupsPerStep` others in
   * their place. @see DAPO, arXiv:2503.14476, section 3.2
   */
  dynamicSampling: z.int().min(0).optional(),
  /** Leaves out groups that were written more than so many optimizer steps before. */
  maxStaleness: z.int().min(0).optional(),
  /** Optimizer steps on the same groups, the old probabilities kept. */
  updatesPerBatch: z.int().min(1).default(1),
};

/** The options of an update whose objective is one by name, or another that the schema takes. */
export function updateOptions<Own extends z.ZodType>(own: Own) {
  return z
    .strictObject({
      ...OptimizerOptions.shape,
      /** What is learned from: by name, or one of the caller's own. */
      objective: z.union([ObjectiveName, own]).default('grpo'),
      ...shape,
    })
    .superRefine((options, context) =>
      consistent(options, (path, message) => context.addIssue({ code: 'custom', path: [path], message })),
    );
}

const Numbers = z.strictObject(shape);
type Options = z.output<typeof Numbers> & { readonly objective: unknown };
type NamedOptions = Options & { readonly objective: ObjectiveName };
type Refuse = (path: keyof Options, message: string) => void;

const clipping = ['clip', 'clipHigh', 'ratioMax', 'ratio'] as const;
type Own = (typeof clipping)[number] | 'maxTokens' | 'gate' | 'gamma';

/** Options that not every objective has. */
const own: Readonly<Record<ObjectiveName, readonly Own[]>> = {
  grpo: clipping,
  bnpo: clipping,
  'dr-grpo': [...clipping, 'maxTokens'],
  dapo: clipping,
  cispo: ['ratioMax', 'ratio'],
  sapo: ['gate', 'ratio'],
  gspo: ['clip', 'clipHigh', 'ratioMax'],
  luspo: clipping,
  vespo: ['gamma'],
  'seg-r1': [],
};

/** Options that an objective is made with, and what they are where nothing was said. */
const MADE_WITH = {
  kl: 0,
  klCorrected: false,
  correction: undefined,
  offPolicy: undefined,
  entropyBonus: 0,
  topEntropy: 1,
} as const;

function consistent(options: Options, refuse: Refuse): void {
  if (isNamed(options)) namedConsistent(options, refuse);
  else ownConsistent(options, refuse);
}

function isNamed(options: Options): options is NamedOptions {
  return ObjectiveName.safeParse(options.objective).success;
}

/** An objective of one's own is made before it comes here. */
function ownConsistent(options: Options, refuse: Refuse): void {
  const others = Object.fromEntries(Object.values(own).flatMap((keys) => keys.map((key) => [key, undefined])));
  for (const [name, byDefault] of Object.entries({ ...others, ...MADE_WITH })) {
    const key = name as keyof Options;
    if (options[key] !== byDefault)
      refuse(key, `expected it in the objective itself, which is one of your own; got ${shown(options[key])}`);
  }
}

function namedConsistent(options: NamedOptions, refuse: Refuse): void {
  const { objective, kl, klCorrected, correction, maxTokens, ratioMax, updatesPerBatch, reference } = options;
  for (const key of new Set(Object.values(own).flat())) {
    const takers = Object.keys(own).filter((name) => own[name as ObjectiveName].includes(key));
    if (options[key] !== undefined && !takers.includes(objective))
      refuse(key, `expected an objective that has it, of ${takers.join('|')}; got ${objective}`);
  }
  if (objective === 'dr-grpo' && maxTokens === undefined)
    refuse(
      'maxTokens',
      'expected the tokens that dr-grpo divides every completion by, such as maxTokens of rollout; got none',
    );
  if (reference && kl === 0) refuse('reference', 'expected kl above 0 beside it; got 0');
  if (klCorrected && kl === 0) refuse('klCorrected', 'expected kl above 0 beside it; got 0');
  if (objective === 'seg-r1' && klCorrected)
    refuse('klCorrected', 'expected an objective with a ratio; got seg-r1, whose ratio is 1');
  if (objective === 'seg-r1' && updatesPerBatch > 1)
    refuse(
      'updatesPerBatch',
      `expected 1 with seg-r1, which has no ratio to hold later steps by; got ${updatesPerBatch}`,
    );
  const least = 1 + clipHighOf(options);
  if (ratioMax !== undefined && own[objective].includes('clip') && ratioMax <= least)
    refuse('ratioMax', `expected more than 1 + clipHigh, which is ${least}; got ${ratioMax}`);
  if (ratioMax !== undefined && objective === 'cispo' && ratioMax < 1)
    refuse('ratioMax', `expected at least 1, the ratio on-policy; got ${ratioMax}`);
  if (correction?.min !== undefined && correction.min >= correction.max)
    refuse('correction', `expected min below max; got ${correction.min} and ${correction.max}`);
}

/** Options of `update`; an objective of one's own is an `Objective`, such as `compose` makes. */
export const UpdateOptions = updateOptions(
  z.custom<Objective>((value) => value !== null && typeof value === 'object', { abort: true }),
);
export type UpdateOptions = z.input<typeof UpdateOptions>;

/**
 * The objective that the options name, or hold.
 *
 * @throws {UsageError} naming it, if one of the caller's own gives no loss, or has no KL term that `reference` would be for.
 */
export function objectiveOf(options: z.output<typeof UpdateOptions>): Objective {
  if (isNamed(options)) return namedObjective(options);
  return ownObjective(options.objective, options);
}

/** @throws {UsageError} naming the objective, as `objectiveOf`. */
export function ownObjective(value: unknown, { reference }: Pick<Options, 'reference'>): Objective {
  const objective = checkedObjective(value);
  if (reference && objective.kl === 0)
    throw new UsageError(
      `objective ${JSON.stringify(objective.name)}  kl: expected a coefficient above 0 beside reference; got 0`,
    );
  return objective;
}

function namedObjective(options: NamedOptions): Objective {
  const { objective, kl, clip, ratioMax, maxTokens, gate, gamma } = options;
  const additions = additionsOf(options);
  const clipped = (low: number): Clipping => ({
    low: clip ?? low,
    high: clipHighOf(options),
    ...defined({ max: ratioMax }),
    ...additions,
  });
  switch (objective) {
    case 'grpo':
      return grpo(kl, clipped(0.2));
    case 'bnpo':
      return bnpo(kl, clipped(0.2));
    case 'dr-grpo':
      return drGrpo(kl, maxTokens as number, clipped(0.2));
    case 'dapo':
      return dapo(kl, clipped(0.2));
    case 'gspo':
      return gspo(kl, clipped(3e-4));
    case 'luspo':
      return luspo(kl, clipped(3e-4));
    case 'cispo':
      return cispo(kl, { ...defined({ max: ratioMax }), ...additions });
    case 'sapo':
      return sapo(kl, { ...gate, ...additions });
    case 'vespo':
      return vespo(kl, { ...gamma, ...additions });
    case 'seg-r1':
      return segR1(kl, additions);
  }
}

/** How far a ratio may rise: as far as it may fall unless told, but for `dapo`, whose clip is wider above. */
function clipHighOf({ objective, clip, clipHigh }: NamedOptions): number {
  if (objective === 'dapo') return clipHigh ?? 0.28;
  return clipHigh ?? clip ?? (objective === 'gspo' || objective === 'luspo' ? 4e-4 : 0.2);
}

/** Only what isn't as usual, so that an objective's name stays short. */
function additionsOf({ ratio, klCorrected, correction, offPolicy, entropyBonus, topEntropy }: Options): Additions {
  return {
    ...defined({ level: ratio }),
    ...(klCorrected ? { klCorrected } : {}),
    ...defined({ correction, offPolicy }),
    ...(entropyBonus === 0 ? {} : { entropyBonus }),
    ...(topEntropy === 1 ? {} : { topEntropy }),
  };
}
