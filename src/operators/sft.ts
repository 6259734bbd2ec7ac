import type { OperatorFunction } from 'rxjs';
import { z } from 'zod';

import { defined } from '../defined.js';
import { DataError } from '../errors.js';
import type { Policy, SupervisedLoss, Trainable, TrainRow } from '../models/policy.js';
import type { ReadImage } from '../models/segmenter.js';
import type { Fitted, Sample, Thought } from '../records.js';
import { pixelsOf } from './faults.js';
import { finiteLoss, skippingSteps } from './training/finite.js';
import { batchSteps } from './training/batch-steps.js';
import { scheduleOf, OptimizerOptions } from './training/schedule.js';
import { stepTaken, type StepTokens } from './training/step-metrics.js';

export const SftOptions = z.strictObject({
  ...OptimizerOptions.shape,
  learningRate: z.number().positive().default(2e-5),
  /** Rows in one optimizer step. */
  rowsPerStep: z.int().min(1).default(32),
  /** Whether the loss covers only the completion, or the prompt's words as well. */
  prompt: z.enum(['masked', 'learned']).default('masked'),
  /**
   * Weight of a loss by which each image token predicts the objects' share of its patches; for models without a
   * pretrained vision tower.
   */
  patchMask: z.number().min(0).default(0),
  /** Standard deviation of the targets around a coordinate, in pixels; for tokenizers with a token for each number. */
  softNumbers: z.number().min(0).default(0),
});
export type SftOptions = z.input<typeof SftOptions>;

/** Called after each step, with its rows and the tokens since the step before. */
export type ReportStep = (
  step: number,
  metrics: Readonly<Record<string, number>>,
  rows: readonly Pick<Sample, 'id'>[],
  tokens: StepTokens,
) => void;

/** What `sft` works with. */
export interface SftContext {
  readonly policy: Policy & Trainable;
  readonly readImage: ReadImage;
  readonly report: ReportStep;
}

/**
 * Trains a policy on the completions in `fitted`, or in `thinking` and `solution` where present; rows leave with their
 * `step` once it is taken. The loss is cross-entropy on the completion and its end token, a mean over the step's
 * counted tokens. Rows with an unreadable image are marked and skipped.
 */
export function sft<T extends Fitted>(
  { policy, readImage, report }: SftContext,
  options: SftOptions = {},
): OperatorFunction<T, T & { readonly step: number }> {
  const checked = SftOptions.parse(options);
  const rate = scheduleOf(checked);
  const { patchMask, softNumbers, prompt: asks } = checked;
  const supervised: SupervisedLoss = { patchMask, softNumbers, prompt: asks };

  const lesson = async (row: T): Promise<TrainRow | DataError> => {
    try {
      const asked = lessonOf(row);
      const prompt = policy.encode(asked, await pixelsOf(readImage, row));
      const answer = policy.encodeAnswer(asked.fitted.text);
      return { prompt, completions: [answer], ...policy.supervisedInputs(supervised, asked, prompt, answer) };
    } catch (error) {
      if (error instanceof DataError) return error;
      throw error;
    }
  };

  const taught = async (rows: readonly T[], leftOut: number): Promise<(T & { step: number })[]> => {
    const lessons = await Promise.all(rows.map(lesson));
    const usable = lessons.filter((it): it is TrainRow => !(it instanceof DataError));
    const step = policy.version + 1;
    if (usable.length > 0) {
      const { gradient, metrics } = await policy.gradient({
        loss: { supervised },
        rows: weighed(usable),
        temperature: 1,
      });
      finiteLoss(metrics);
      const settings = rate(step);
      const norm = await policy.step(gradient, settings);
      report(step, { ...metrics, ...stepTaken(norm, settings, leftOut) }, rows, taughtTokens(usable));
    }
    return rows.map((row, i) => {
      const fault = lessons[i];
      // Marked rows lack columns that the types promise.
      return fault instanceof DataError
        ? ({ ...row, skipped: { stage: 'sft', reason: fault.message } } as unknown as T & { step: number })
        : { ...row, step };
    });
  };
  return batchSteps(checked.rowsPerStep, skippingSteps('sft', taught));
}

/** The target of a row: its fitted completion, or its thought and solution. */
function lessonOf(row: Fitted & Partial<Thought>): Fitted {
  const { problem: instruction, thinking, solution, ...own } = row;
  if (thinking === undefined || solution === undefined) return row;
  return {
    ...own,
    ...defined({ instruction }),
    fitted: { ...own.fitted, text: `${thinking} ${solution}` },
  };
}

/** A lesson is a prompt and one completion. */
function taughtTokens(rows: readonly TrainRow[]): StepTokens {
  const count = (lengths: readonly number[]): number => lengths.reduce((sum, length) => sum + length, 0);
  return {
    read: count(rows.map(({ prompt }) => prompt.tokens.length)),
    written: count(rows.map(({ completions: [answer] }) => answer?.length ?? 0)),
  };
}

/**
 * Weights that turn sums into means: over tokens for completions and prompts, over rows for losses of a whole prompt.
 */
function weighed(rows: readonly TrainRow[]): TrainRow[] {
  const told = ({ perPrompt }: TrainRow): number =>
    perPrompt?.['promptWeight']?.reduce((sum, weight) => sum + weight, 0) ?? 0;
  const tokens = rows.reduce((sum, row) => sum + (row.completions[0]?.length ?? 0) + told(row), 0);
  return rows.map((row) => ({
    ...row,
    perToken: { ...row.perToken, weight: row.completions.map((answer) => answer.map(() => 1 / tokens)) },
    perPrompt: {
      ...row.perPrompt,
      ...(row.perPrompt?.['patchShare'] && { patchWeight: Float32Array.of(1 / rows.length) }),
      ...(row.perPrompt?.['promptWeight'] && {
        promptWeight: row.perPrompt['promptWeight'].map((weight) => weight / tokens),
      }),
    },
  }));
}
