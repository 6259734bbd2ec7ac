import { evaluationMetrics, PREFIX } from '../store/evaluation-folders.js';
import { checkpointFolder, readState } from '../store/checkpoint-state.js';
import type { Folders } from '../stage.js';

/** Whether `checkpoints.best` goes by what an evaluation came to. */
export function byEvaluation(best: string | undefined): best is string {
  return best !== undefined && best.replace(/^-/, '').startsWith(PREFIX);
}

/** A metric that more is better of, whatever the name says; NaN where nothing is known. */
export function scoreBy(best: string, metrics: Readonly<Record<string, number>>): number {
  return best.startsWith('-') ? -(metrics[best.slice(1)] ?? NaN) : (metrics[best] ?? NaN);
}

/** What `checkpoints.best` goes by, of the checkpoint of a step; null where nothing is known. */
export async function scoreOf(
  { root, checkpoints }: Pick<Folders, 'root' | 'checkpoints'>,
  best: string | undefined,
  step: number,
): Promise<number | null> {
  if (!byEvaluation(best))
    return readState(checkpointFolder(checkpoints, step)).then(
      ({ score }) => score,
      () => null,
    );
  const score = scoreBy(best, evaluationMetrics(root, step) ?? {});
  return Number.isFinite(score) ? score : null;
}
