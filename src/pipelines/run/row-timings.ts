import { appendFileSync } from 'node:fs';

import { noRoom } from '../../io/whole-file.js';
import { thousandths } from './stage-metrics.js';

/**
 * How long each row was in each stage, a JSON line a row; beside the rows, which are the same whenever a pipeline runs
 * again.
 */
export interface RowTimings {
  enter(stage: string, id: string): void;
  leave(stage: string, id: string): void;
  /** The row has left the last stage: its line is written. */
  done(id: string): void;
}

/** @param file that lines are added to, and that is made with the first. @param now milliseconds. */
export function rowTimings(file: string, now: () => number = () => performance.now()): RowTimings {
  const inside = new Map<string, Map<string, number>>();
  const spent = new Map<string, Record<string, number>>();
  return {
    enter(stage, id) {
      const began = inside.get(id) ?? new Map<string, number>();
      inside.set(id, began.set(stage, now()));
    },
    leave(stage, id) {
      const began = inside.get(id)?.get(stage);
      if (began === undefined) return;
      spent.set(id, { ...spent.get(id), [stage]: thousandths((now() - began) / 1000) });
    },
    done(id) {
      const seconds = spent.get(id) ?? {};
      inside.delete(id);
      spent.delete(id);
      try {
        appendFileSync(file, `${JSON.stringify({ id, seconds })}\n`);
      } catch (error) {
        noRoom(file, 'timings')(error);
      }
    },
  };
}
