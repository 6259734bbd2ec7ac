import { rm, stat } from 'node:fs/promises';

import { messageOf } from '../../errors.js';
import { dropFolder, sealFolder } from '../../io/sealed-folder.js';
import type { Policy, Resumable } from '../../models/policy.js';
import { scoreOf } from './best.js';
import { checkpointFolder, checkpointSteps, superseded, type RunState } from '../store/checkpoint-state.js';
import type { CheckpointOptions } from '../settings.js';
import type { Folders } from '../stage.js';

/** A policy that learns, as far as its checkpoints go. */
export type Learner = Pick<Policy, 'version' | 'save'> & Resumable;

/** Puts checkpoints into the folder of a run. */
export interface CheckpointWriter {
  /** Has something done before each. */
  before(job: () => Promise<unknown>): void;
  /**
   * Writes one, and drops those that need not stay.
   *
   * @returns its folder.
   * @throws {Error} naming it, nothing of it left.
   */
  write(policy: Learner, state: RunState): Promise<string>;
  /** Drops those that need not stay by what is known now. */
  drop(): Promise<void>;
}

export function checkpointWriter(
  folders: Folders,
  { best, keep }: Pick<CheckpointOptions, 'best' | 'keep'>,
): CheckpointWriter {
  const jobs: (() => Promise<unknown>)[] = [];

  async function drop(): Promise<void> {
    const all = await Promise.all(
      checkpointSteps(folders.checkpoints).map(async (step) => ({ step, score: await scoreOf(folders, best, step) })),
    );
    for (const step of superseded(all, keep)) await dropFolder(checkpointFolder(folders.checkpoints, step));
  }

  return {
    before: (job) => void jobs.push(job),
    async write(policy, state) {
      const folder = checkpointFolder(folders.checkpoints, state.step);
      const fresh = `${folder}.making`;
      try {
        // A folder that was deleted is not to be made again: nobody would look for the rest.
        await stat(folders.checkpoints);
        for (const job of jobs) await job();
        await rm(fresh, { recursive: true, force: true });
        await policy.save(fresh);
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
