import { DataError } from '../../errors.js';
import { serve } from '../../workers.js';
import { scoreItem, type Judged, type ScoreJob } from './score-item.js';

/** The scores of an item, or why its files are unusable. */
export type ScoreAnswer = { readonly judged: Judged } | { readonly fault: string };

serve<ScoreJob, ScoreAnswer>(async (job) => {
  try {
    return { answer: { judged: await scoreItem(job) } };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return { answer: { fault: error.message } };
  }
});
