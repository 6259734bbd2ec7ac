/** The named objectives, with the options of each: plain data from which any process makes the same one. */
import { z } from 'zod';

import { defined } from '../defined.js';
import { cispo } from './cispo.js';
import type { Additions } from './compose.js';
import type { Objective } from './objective.js';
import { bnpo, dapo, drGrpo, grpo, gspo, luspo, segR1, type Clipping } from './policy-gradient.js';
import { sapo } from './sapo.js';
import { vespo } from './vespo.js';

/** Each cites its paper where it is written. */
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

const Level = z.enum(['token', 'sequence']);
const Gamma = z.strictObject({ k: z.number().positive(), lambda: z.number().positive() });

/** Options of the ratio and the surrogate, which not every objective has. */
export const ownShape = {
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
  /** Whether each token has a ratio, or each completion one. @see GSPO, arXiv:2507.18071 */
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
};

/** Options that every objective has. */
export const commonShape = {
  /** Coefficient of the divergence from the policy as it was opened; 0 skips the computation. */
  kl: z.number().min(0).default(0),
  /**
   * Whether the divergence is multiplied by the ratio, which makes its gradient unbiased. @see DeepSeek-V3.2,
   * arXiv:2512.02556
   */
  klCorrected: z.boolean().default(false),
  /**
   * Weighs tokens by the ratio of the trainer's probabilities to the sampler's; the trainer's are then computed once
   * for each batch.
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
   * Drops bad completions that lost more than this many nats a token since they were written. @see DeepSeek-V3.2,
   * arXiv:2512.02556
   */
  offPolicy: z.number().min(0).optional(),
  /** Coefficient of the mean entropy, which is subtracted from the loss. */
  entropyBonus: z.number().min(0).default(0),
  /** Share of tokens that the advantage applies to: those of the highest entropy when written. @see arXiv:2506.01939 */
  topEntropy: z.number().min(0).max(1).default(1),
};

const ObjectiveOptions = z.strictObject({ ...ownShape, ...commonShape });
export type ObjectiveOptions = z.input<typeof ObjectiveOptions>;
type Options = z.output<typeof ObjectiveOptions>;

const clipping = ['clip', 'clipHigh', 'ratioMax', 'ratio'] as const;
type Own = keyof typeof ownShape;

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

/** An option that an objective does not have, or an invalid value. */
export interface ObjectiveFault {
  readonly option: keyof Options;
  /** `expected …; got …` */
  readonly text: string;
}

/** Why options do not fit an objective. */
export function objectiveFaults(name: ObjectiveName, options: Options): readonly ObjectiveFault[] {
  const faults: ObjectiveFault[] = [];
  const refuse = (option: keyof Options, text: string): void => void faults.push({ option, text });
  const { kl, klCorrected, correction, maxTokens, ratioMax } = options;
  for (const key of new Set(Object.values(own).flat())) {
    const takers = Object.keys(own).filter((taker) => own[taker as ObjectiveName].includes(key));
    if (options[key] !== undefined && !takers.includes(name))
      refuse(key, `expected an objective that has it, of ${takers.join('|')}; got ${name}`);
  }
  if (name === 'dr-grpo' && maxTokens === undefined)
    refuse(
      'maxTokens',
      'expected the tokens that dr-grpo divides every completion by, such as maxTokens of rollout; got none',
    );
  if (klCorrected && kl === 0) refuse('klCorrected', 'expected kl above 0 beside it; got 0');
  if (name === 'seg-r1' && klCorrected)
    refuse('klCorrected', 'expected an objective with a ratio; got seg-r1, whose ratio is 1');
  const least = 1 + clipHighOf(name, options);
  if (ratioMax !== undefined && own[name].includes('clip') && ratioMax <= least)
    refuse('ratioMax', `expected more than 1 + clipHigh, which is ${least}; got ${ratioMax}`);
  if (ratioMax !== undefined && name === 'cispo' && ratioMax < 1)
    refuse('ratioMax', `expected at least 1, the ratio on-policy; got ${ratioMax}`);
  if (correction?.min !== undefined && correction.min >= correction.max)
    refuse('correction', `expected min below max; got ${correction.min} and ${correction.max}`);
  return faults;
}

/**
 * The objective with a name.
 *
 * @throws {z.ZodError} for options that it does not have.
 */
export function namedObjective(name: ObjectiveName, given: ObjectiveOptions = {}): Objective {
  const options = ObjectiveOptions.superRefine((all, context) => {
    for (const { option, text } of objectiveFaults(name, all))
      context.addIssue({ code: 'custom', path: [option], message: text });
  }).parse(given);
  const { kl, clip, ratioMax, maxTokens, gate, gamma } = options;
  const additions = additionsOf(options);
  const clipped = (low: number): Clipping => ({
    low: clip ?? low,
    high: clipHighOf(name, options),
    ...defined({ max: ratioMax }),
    ...additions,
  });
  switch (name) {
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

/** How far a ratio may rise: by default as far as it may fall, but further for `dapo`. */
function clipHighOf(name: ObjectiveName, { clip, clipHigh }: Options): number {
  if (name === 'dapo') return clipHigh ?? 0.28;
  return clipHigh ?? clip ?? (name === 'gspo' || name === 'luspo' ? 4e-4 : 0.2);
}

/** Only options other than the defaults, so an objective's name stays short. */
function additionsOf({ ratio, klCorrected, correction, offPolicy, entropyBonus, topEntropy }: Options): Additions {
  return {
    ...defined({ level: ratio }),
    ...(klCorrected ? { klCorrected } : {}),
    ...defined({ correction, offPolicy }),
    ...(entropyBonus === 0 ? {} : { entropyBonus }),
    ...(topEntropy === 1 ? {} : { topEntropy }),
  };
}
