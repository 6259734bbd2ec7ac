import { totalmem } from 'node:os';

import { describe, expect, it } from 'vitest';

import { planText, secondsOf, speedHere } from '../../src/cli/plan.js';
import type { Plan } from '../../src/pipelines/config/plan.js';

const plan: Plan = {
  counts: { images: 24, masks: 22 },
  rows: 48,
  steps: 6,
  bytes: 3.25e9,
  policy: { bytes: 3e9, operations: 2e9, writing: { operations: 1e9, passes: 100, bytes: 4e8 } },
  segmenter: { operations: 5e8 },
};
const speed = { operations: 1e9, bytes: 1e10 };

describe('a plan', () => {
  // A row: 2 s of arithmetic; 100 passes of 0.04 s, which is more than 1 s of arithmetic; 100 runs of 4 ms; 0.5 s of masks.
  it('takes the time of its arithmetic, and of reading the weights for each token', () => {
    expect(secondsOf(plan, speed)).toBeCloseTo(48 * (2 + 4 + 0.4 + 0.5), 9);
    const { rows: _, ...unknown } = plan;
    expect(secondsOf(unknown, speed)).toBeUndefined();
  });

  it('says what would run, and what of the evaluation', () => {
    const here = (totalmem() / 1e9).toFixed(1);
    expect(planText({ ...plan, evaluation: { counts: { scenes: 5 }, rows: 5 } }, speed)).toEqual([
      'rows     48 of 24 images and 22 masks',
      'steps    6',
      `memory   3.3 GB at most, of ${here} GB here`,
      'time     5m31s at most, within a factor of three; --max-steps 1 measures a step',
      'evaluate rows     5 of 5 scenes',
    ]);
    expect(planText({ counts: {}, bytes: 1e15 }, undefined)).toEqual([
      `memory   1000000.0 GB at most, of ${here} GB here: more than there is`,
    ]);
  });

  it('measures a machine that computes', async () => {
    const { operations, bytes } = await speedHere();
    // Between a tenth of the slowest and a hundred times the fastest that is sold.
    expect(operations).toBeGreaterThan(1e8);
    expect(bytes).toBeGreaterThan(1e8);
  });
});
