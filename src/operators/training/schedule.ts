import { z } from 'zod';

import { defined } from '../../defined.js';
import type { StepOptions } from '../../models/policy.js';

/** Optimizer options, shared by `update` and `sft`. */
export const OptimizerOptions = z.strictObject({
  learningRate: z.number().positive().default(1e-6),
  /** Steps in which the rate rises from 0; below 1, their share of `steps`. */
  warmup: z
    .number()
    .min(0)
    .refine((warmup) => warmup < 1 || Number.isInteger(warmup), 'expected whole steps, or a share below 1')
    .default(0),
  /** `linear` and `cosine` fall to `floor` of the rate, from the end of the warm-up to `steps`. */
  schedule: z.enum(['constant', 'linear', 'cosine']).default('constant'),
  floor: z.number().min(0).max(1).default(0),
  /** Steps of a schedule, including its warm-up. */
  steps: z.int().min(1).optional(),
  weightDecay: z.number().min(0).default(0),
  beta1: z.number().min(0).max(0.9999).default(0.9),
  beta2: z.number().min(0).max(0.99999).default(0.999),
  /** Largest norm of the gradient; longer ones are scaled down to it. */
  maxNorm: z.number().positive().default(1),
  /** Decay of a running average of the weights, which begins at the opened weights. */
  ema: z.number().gt(0).lt(1).optional(),
});
export type OptimizerOptions = z.output<typeof OptimizerOptions>;

/** The fault of a schedule and its option; undefined without fault. */
export function scheduleFault(
  options: Pick<OptimizerOptions, 'schedule' | 'steps' | 'warmup'>,
): { readonly option: string; readonly text: string } | undefined {
  const { schedule, steps, warmup } = options;
  if (steps === undefined && schedule !== 'constant')
    return { option: 'schedule', text: `expected steps, over which a ${schedule} schedule falls; got none` };
  if (steps === undefined)
    return warmup > 0 && warmup < 1
      ? { option: 'warmup', text: `expected steps, of which a share of ${warmup} is warm-up; got none` }
      : undefined;
  const rising = risingSteps(warmup, steps);
  return rising < steps
    ? undefined
    : { option: 'warmup', text: `expected a warm-up of fewer steps than ${steps}, all there are; got ${rising}` };
}

/** A share is rounded up. */
function risingSteps(warmup: number, steps: number): number {
  return warmup < 1 ? Math.ceil(warmup * steps) : warmup;
}

/**
 * AdamW's settings at a step, counted from 1: the rate of transformers' schedulers after that many steps. Trainer lags
 * by one: with a warm-up, its first step has a rate of 0.
 */
export function scheduleOf(options: OptimizerOptions): (step: number) => StepOptions {
  const { learningRate, warmup, schedule, floor, steps = 1, weightDecay, beta1, beta2, maxNorm, ema } = options;
  const rising = risingSteps(warmup, steps);
  const at = (step: number): number => {
    if (step < rising) return step / rising;
    const left = 1 - Math.min(1, (step - rising) / Math.max(1, steps - rising));
    return floor + (1 - floor) * falls[schedule](left);
  };
  return (step) => ({
    learningRate: learningRate * at(step),
    weightDecay,
    beta1,
    beta2,
    maxNorm,
    decays,
    ...defined({ ema }),
  });
}

/** Share of the rate, by the remaining share of a schedule. */
const falls: Readonly<Record<OptimizerOptions['schedule'], (left: number) => number>> = {
  constant: () => 1,
  linear: (left) => left,
  cosine: (left) => 0.5 * (1 - Math.cos(Math.PI * left)),
};

/** Biases and the language model's norms don't decay; the rule matches names, as in transformers' Trainer. */
export function decays(name: string): boolean {
  return !/bias$|layernorm|rmsnorm|(^|\.)norm(\.|$)|_norm(\.|$)/.test(name);
}
