import { DataError } from '../../errors.js';
import { workers } from '../../workers.js';
import type { Judged, ScoreJob } from './score-item.js';
import type { ScoreAnswer } from './score-worker.js';

/** Scores answers on threads of its own: some metrics take a large image a tenth of a second. */
export interface Scorer {
  /** Answers that are scored at once. */
  readonly threads: number;
  /** @throws {DataError} as `scoreItem` does. */
  score(job: ScoreJob): Promise<Judged>;
  /** Waits for what is being scored. */
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
