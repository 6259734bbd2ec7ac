import { DataError } from '../../errors.js';
import { workers } from '../../workers.js';
import type { Judged, ScoreJob } from './score-item.js';
import type { ScoreAnswer } from './score-worker.js';

/** Scores predictions on its own threads: some metrics take 0.1 s for a large image. */
export interface Scorer {
  /** Predictions that are scored at once. */
  readonly threads: number;
  /** @throws {DataError} as `scoreItem` does. */
  score(job: ScoreJob): Promise<Judged>;
  /** Waits for running jobs. */
  release(): Promise<void>;
}

/** Starts the threads. */
export function openScorer(threads: number): Scorer {
  const pool = workers<ScoreJob, ScoreAnswer>(new URL('./score-worker.js', import.meta.url), threads);
  return {
    threads,
    async score(job) {
      const answer = await pool.call(job);
      if ('fault' in answer) throw new DataError(answer.fault);
      return answer.judged;
    },
    release: () => pool.release(),
  };
}
