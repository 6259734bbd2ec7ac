import { existsSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { readJudged } from './tally-files.js';

/** What an evaluation's metrics are called among those of a step. */
export const PREFIX = 'eval_';

/** Where the evaluation at a step lies, in the folder of its run. */
export function evaluationFolder(root: string, step: number): string {
  return join(root, 'evaluations', `step-${step}`);
}

/** What the policy was worth at a step, as metrics of that step; undefined where no evaluation has ended. */
export function evaluationMetrics(root: string, step: number): Record<string, number> | undefined {
  const judged = readJudged(evaluationFolder(root, step));
  return (
    judged &&
    Object.fromEntries(Object.entries(judged.tally.metrics).map(([name, { mean }]) => [`${PREFIX}${name}`, mean]))
  );
}

/** Gives up the evaluations at later steps than `last`. */
export async function cutEvaluations(root: string, last: number): Promise<void> {
  const folder = join(root, 'evaluations');
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const step = Number(/^step-(\d+)$/.exec(name)?.[1]);
    if (step > last) await rm(join(folder, name), { recursive: true, force: true });
  }
}
