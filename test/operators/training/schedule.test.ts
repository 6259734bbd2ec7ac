import { describe, expect, it } from 'vitest';

import { decays, scheduleOf, OptimizerOptions, scheduleFault } from '../../../src/operators/training/schedule.js';

const rates = (options: Partial<OptimizerOptions>, steps: readonly number[]): number[] => {
  const at = scheduleOf(OptimizerOptions.parse({ learningRate: 1, ...options }));
  return steps.map((step) => Number(at(step).learningRate.toFixed(6)));
};

describe('learning', () => {
  it('hands the optimizer its numbers', () => {
    const { steps: _, ...options } = OptimizerOptions.parse({
      learningRate: 2e-6,
      weightDecay: 0.1,
      beta1: 0.8,
      beta2: 0.95,
      maxNorm: 0.5,
    });
    expect(scheduleOf(options)(1)).toEqual({
      learningRate: 2e-6,
      weightDecay: 0.1,
      beta1: 0.8,
      beta2: 0.95,
      maxNorm: 0.5,
      decays,
    });
    expect(scheduleOf(OptimizerOptions.parse({ ema: 0.999 }))(1)).toMatchObject({ ema: 0.999 });
    expect(scheduleOf(OptimizerOptions.parse({}))(9)).toEqual({
      learningRate: 1e-6,
      weightDecay: 0,
      beta1: 0.9,
      beta2: 0.999,
      maxNorm: 1,
      decays,
    });
  });

  it.each([
    ['constant', {}, [1, 2, 1000], [1, 1, 1]],
    // transformers 5.23: get_last_lr()[0] after each scheduler.step() of get_scheduler, and of
    // get_cosine_with_min_lr_schedule_with_warmup
    ['constant behind a warm-up', { warmup: 4 }, [1, 2, 3, 4, 5], [0.25, 0.5, 0.75, 1, 1]],
    ['linear', { schedule: 'linear', steps: 4 }, [1, 2, 3, 4, 5], [0.75, 0.5, 0.25, 0, 0]],
    [
      'linear behind a warm-up',
      { schedule: 'linear', steps: 6, warmup: 2 },
      [1, 2, 3, 4, 5, 6, 7],
      [0.5, 1, 0.75, 0.5, 0.25, 0, 0],
    ],
    ['a cosine', { schedule: 'cosine', steps: 4 }, [1, 2, 3, 4], [0.853553, 0.5, 0.146447, 0]],
    [
      'a cosine behind a warm-up',
      { schedule: 'cosine', steps: 6, warmup: 2 },
      [1, 2, 3, 4, 5, 6],
      [0.5, 1, 0.853553, 0.5, 0.146447, 0],
    ],
    [
      'a cosine to a floor',
      { schedule: 'cosine', steps: 4, floor: 0.2 },
      [1, 2, 3, 4, 5],
      [0.882843, 0.6, 0.317157, 0.2, 0.2],
    ],
    [
      'all of it',
      { schedule: 'cosine', steps: 6, warmup: 2, floor: 0.2 },
      [1, 2, 3, 4, 5, 6],
      [0.5, 1, 0.882843, 0.6, 0.317157, 0.2],
    ],
    [
      'the same by a share, rounded up',
      { schedule: 'cosine', steps: 6, warmup: 0.2, floor: 0.2 },
      [1, 2, 3, 4, 5, 6],
      [0.5, 1, 0.882843, 0.6, 0.317157, 0.2],
    ],
  ] as const)('gives a rate that is %s', (_, options, steps, expected) =>
    expect(rates(options, steps)).toEqual(expected),
  );

  it.each([
    [{ schedule: 'cosine' }, 'schedule', 'expected steps, over which a cosine schedule falls; got none'],
    [{ schedule: 'linear', warmup: 3 }, 'schedule', 'expected steps, over which a linear schedule falls; got none'],
    [{ warmup: 0.1 }, 'warmup', 'expected steps, of which a share of 0.1 is warm-up; got none'],
    [
      { schedule: 'cosine', warmup: 5, steps: 5 },
      'warmup',
      'expected a warm-up of fewer steps than 5, all there are; got 5',
    ],
    [{ warmup: 7, steps: 5 }, 'warmup', 'expected a warm-up of fewer steps than 5, all there are; got 7'],
    [
      { schedule: 'linear', warmup: 0.9, steps: 5 },
      'warmup',
      'expected a warm-up of fewer steps than 5, all there are; got 5',
    ],
  ] as const)('refuses %j for its %s', (options, option, text) =>
    expect(scheduleFault(OptimizerOptions.parse(options))).toEqual({ option, text }),
  );

  it.each([
    { schedule: 'cosine', steps: 5 },
    { schedule: 'linear', warmup: 4, steps: 5 },
    { warmup: 0.1, steps: 5 },
    { steps: 1 },
    { warmup: 3 },
  ] as const)('finds nothing wrong with %j', (options) =>
    expect(scheduleFault(OptimizerOptions.parse(options))).toBeUndefined(),
  );

  it.each([-0.5, 0, 1, 2, NaN])('refuses an average that keeps %d of itself', (ema) => {
    expect(OptimizerOptions.safeParse({ ema }).error?.issues).toMatchObject([{ path: ['ema'] }]);
  });

  it('refuses a warm-up of one step and a half', () => {
    expect(OptimizerOptions.safeParse({ warmup: 1.5 }).error?.issues[0].message).toBe(
      'expected whole steps, or a share below 1',
    );
  });
});

describe('decays', () => {
  it.each([
    ['model.layers.0.self_attn.q_proj.weight', true],
    ['model.layers.0.self_attn.q_proj.bias', false],
    ['model.layers.0.input_layernorm.weight', false],
    ['model.layers.0.post_attention_layernorm.weight', false],
    ['model.norm.weight', false],
    ['visual.blocks.0.norm1.weight', true],
    ['visual.merger.ln_q.weight', true],
    ['visual.merger.mlp.0.bias', false],
    ['lm_head.weight', true],
  ])('%s: %s', (name, expected) => expect(decays(name)).toBe(expected));
});
