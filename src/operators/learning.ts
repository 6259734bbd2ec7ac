import { z } from 'zod';

import type { AdamOptions } from '../tensor/adamw.js';

/** How an optimizer learns; `update` and `sft` share it. */
export const LearningOptions = z.strictObject({
  learningRate: z.number().positive().default(1e-6),
  /** Steps in which the rate rises from 0. */
  warmup: z.int().min(0).default(0),
  /** `cosine` falls to `floor` of the rate over `steps`. */
  schedule: z.enum(['constant', 'cosine']).default('constant'),
  floor: z.number().min(0).max(1).default(0),
  /** Steps that a `cosine` schedule spans. */
  steps: z.int().min(1).optional(),
  weightDecay: z.number().min(0).default(0),
  beta1: z.number().min(0).max(0.9999).default(0.9),
  beta2: z.number().min(0).max(0.99999).default(0.999),
  /** Largest norm of the gradient; longer ones are scaled down to it. */
  maxNorm: z.number().positive().default(1),
});
export type LearningOptions = z.output<typeof LearningOptions>;

/** What a schedule lacks, or undefined. */
export function scheduleFault({ schedule, steps }: Pick<LearningOptions, 'schedule' | 'steps'>): string | undefined {
  return schedule === 'cosine' && steps === undefined ? 'expected steps, over which a cosine schedule falls; got none' : undefined;
}

/** AdamW's settings at a step, counted from 1. */
export function learning(options: LearningOptions): (step: number) => AdamOptions & { readonly maxNorm: number } {
  const { learningRate, warmup, schedule, floor, steps = 1, weightDecay, beta1, beta2, maxNorm } = options;
  return (step) => {
    const rising = warmup === 0 ? 1 : Math.min(1, step / warmup);
    const done = Math.min(1, step / steps);
    const falling = schedule === 'cosine' ? floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * done)) : 1;
    return { learningRate: learningRate * rising * falling, weightDecay, beta1, beta2, maxNorm, decays };
  };
}

/** Biases and the language model's norms don't decay; the rule goes by name, as transformers' Trainer has it. */
export function decays(name: string): boolean {
  return !/bias$|layernorm|rmsnorm|(^|\.)norm(\.|$)|_norm(\.|$)/.test(name);
}
