import { z } from 'zod';

import type { Additions } from '../../src/objectives/compose.js';
import { cispo } from '../../src/objectives/cispo.js';
import type { Correction } from '../../src/objectives/mismatch.js';
import type { Objective } from '../../src/objectives/objective.js';
import { bnpo, dapo, drGrpo, grpo, luspo, segR1 } from '../../src/objectives/policy-gradient.js';
import { sapo } from '../../src/objectives/sapo.js';
import { vespo } from '../../src/objectives/vespo.js';

const Gates = {
  sapo_temperature_pos: z.number(),
  sapo_temperature_neg: z.number(),
  vespo_k_pos: z.number(),
  vespo_lambda_pos: z.number(),
  vespo_k_neg: z.number(),
  vespo_lambda_neg: z.number(),
};

/** Every option of TRL's that a golden variant may set; another one is refused, so that none goes untested. */
export const Variant = z.strictObject({
  ...z.object(Gates).partial().shape,
  loss_type: z.enum(['grpo', 'bnpo', 'dr_grpo', 'dapo', 'cispo', 'sapo', 'luspo', 'vespo']).default('grpo'),
  importance_sampling_level: z.enum(['token', 'sequence']).default('token'),
  epsilon: z.number().optional(),
  epsilon_high: z.number().optional(),
  delta: z.number().nullish(),
  beta: z.number().optional(),
  use_bias_correction_kl: z.boolean().default(false),
  on_policy: z.boolean().default(false),
  max_completion_length: z.int().default(512),
  mismatch: z.enum(['token_truncate', 'token_mask', 'sequence_truncate', 'sequence_mask']).optional(),
  clip_max: z.number().nullish(),
  clip_min: z.number().nullish(),
  off_policy_mask_threshold: z.number().nullish(),
  top_entropy_quantile: z.number().default(1),
  entropy_coef: z.number().default(0),
  accumulation: z.int().default(1),
  steps_per_generation: z.int().optional(),
});
export type Variant = z.output<typeof Variant>;

/** TRL's, where a variant doesn't say. */
export const Defaults = z.object({
  epsilon: z.number(),
  delta: z.number().nullable(),
  beta: z.number(),
  ...Gates,
  top_entropy_quantile: z.literal(1),
});
export type Defaults = z.output<typeof Defaults>;

function correctionOf({ mismatch, clip_max: max, clip_min: min }: Variant): Correction | undefined {
  if (!mismatch) return undefined;
  const [level, beyond] = mismatch.split('_') as [Correction['level'], Correction['beyond']];
  return { level, beyond, max: max ?? Infinity, ...(typeof min === 'number' ? { min } : {}) };
}

/** Ours with the variant's numbers. */
export function objectiveOf(name: string, variant: Variant, defaults: Defaults): Objective {
  const told = { ...defaults, ...variant } as Defaults & Variant;
  const { beta: kl, epsilon: low, epsilon_high: high = low, delta } = told;
  const correction = correctionOf(variant);
  const additions: Additions = {
    level: variant.importance_sampling_level,
    klCorrected: variant.use_bias_correction_kl,
    ...(correction ? { correction } : {}),
    ...(typeof variant.off_policy_mask_threshold === 'number' ? { offPolicy: variant.off_policy_mask_threshold } : {}),
    entropyBonus: variant.entropy_coef,
    topEntropy: variant.top_entropy_quantile,
  };
  if (name === 'seg-r1') return segR1(kl, additions);
  const clip = { low, high, ...(typeof delta === 'number' ? { max: delta } : {}), ...additions };
  switch (variant.loss_type) {
    case 'grpo':
      return grpo(kl, clip);
    case 'bnpo':
      return bnpo(kl, clip);
    case 'dr_grpo':
      return drGrpo(kl, variant.max_completion_length, clip);
    case 'dapo':
      return dapo(kl, clip);
    case 'luspo':
      return luspo(kl, clip);
    case 'cispo':
      return cispo(kl, { max: high, ...additions });
    case 'sapo':
      return sapo(kl, { positive: told.sapo_temperature_pos, negative: told.sapo_temperature_neg, ...additions });
    case 'vespo':
      return vespo(kl, {
        positive: { k: told.vespo_k_pos, lambda: told.vespo_lambda_pos },
        negative: { k: told.vespo_k_neg, lambda: told.vespo_lambda_neg },
        ...additions,
      });
  }
}
