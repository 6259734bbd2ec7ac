import { rm, stat } from 'node:fs/promises';

import { messageOf } from '../../errors.js';
import { dropFolder, sealFolder } from '../../io/sealed-folder.js';
import { carryFrame } from '../../models/frame.js';
import type { Policy, Resumable } from '../../models/policy.js';
import type { Size } from '../../records.js';
import { byEvaluation, type CheckpointOptions } from '../settings.js';
import { evaluationMetrics } from '../store/artifacts.js';
import { readState, superseded, type RunState } from '../store/checkpoint-state.js';
import type { RunFolder } from '../store/run-folder.js';

/** The part of a trainable policy that checkpoints need. */
export type Trainable = Pick<Policy, 'version' | 'save'> & Resumable;

/** Puts checkpoints into the folder of a run. */
export interface CheckpointWriter {
  /** What the policy is shown, which checkpoints carry. */
  shown(frame: Size): void;
  /** Has something done before each. */
  before(job: () => Promise<unknown>): void;
  /**
   * Writes one, and removes those that need not stay.
   *
   * @returns its folder.
   * @throws {Error} naming the folder; nothing of it is left.
   */
  write(policy: Trainable, state: RunState): Promise<string>;
  /** Removes checkpoints that need not stay, by the metrics known now. */
  drop(): Promise<void>;
}

export function checkpointWriter(
  run: RunFolder,
  { best, keep }: Pick<CheckpointOptions, 'best' | 'keep'>,
): CheckpointWriter {
  const jobs: (() => Promise<unknown>)[] = [];

  async function drop(): Promise<void> {
    const all = await Promise.all(
      run.checkpointSteps().map(async (step) => ({ step, score: await scoreOf(run, best, step) })),
    );
    for (const step of superseded(all, keep)) await dropFolder(run.checkpoint(step));
  }

  let frame: Size | undefined;
  return {
    shown: (size) => void (frame = size),
    before: (job) => void jobs.push(job),
    async write(policy, state) {
      const folder = run.checkpoint(state.step);
      const fresh = run.unfinishedCheckpoint(state.step);
      try {
        // A deleted run folder is not made again: nobody would look there for the rest.
        await stat(run.checkpoints);
        for (const job of jobs) await job();
        await rm(fresh, { recursive: true, force: true });
        await policy.save(fresh);
        if (frame) await carryFrame(fresh, frame);
        await policy.saveTraining(fresh);
        await sealFolder(fresh, folder, state);
      } catch (error) {
        for (const left of [fresh, `${fresh}.partial`])
          await rm(left, { recursive: true, force: true }).catch(() => undefined);
        throw new Error(
          `${folder}  writing a checkpoint: expected a folder with room for it; got ${messageOf(error)}`,
          { cause: error },
        );
      }
      await drop();
      return folder;
    },
    drop,
  };
}

/** The metric that `checkpoints.best` names, turned so that more is better; NaN where it is unknown. */
export function scoreBy(best: string, metrics: Readonly<Record<string, number>>): number {
  return best.startsWith('-') ? -(metrics[best.slice(1)] ?? NaN) : (metrics[best] ?? NaN);
}

/** The same, of the checkpoint of a step; null where it is unknown. */
async function scoreOf(run: RunFolder, best: string | undefined, step: number): Promise<number | null> {
  if (!byEvaluation(best))
    return readState(run.checkpoint(step)).then(
      ({ score }) => score,
      () => null,
    );
  const score = scoreBy(best, evaluationMetrics(run, step) ?? {});
  return Number.isFinite(score) ? score : null;
}
