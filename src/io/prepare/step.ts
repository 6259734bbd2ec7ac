import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { UsageError } from '../../errors.js';

/** One action on files; finished actions make no step, so an interrupted preparation continues. */
export interface Step {
  /** What it does, for people: shown before it is done, or instead of it. */
  readonly text: string;
  run(): Promise<void>;
}

/**
 * Files of a folder and its subfolders, sorted by path, without hidden ones.
 *
 * @throws {UsageError} if there is no such folder; `what` names the intended action.
 */
export function filesIn(root: string, what: string, recursive = true): string[] {
  if (!statSync(root, { throwIfNoEntry: false })?.isDirectory())
    throw new UsageError(`${root}  ${what}: expected a folder; got none`);
  const entries = readdirSync(root, { recursive, withFileTypes: true }).filter(
    (entry) => entry.isFile() && !entry.name.startsWith('.'),
  );
  return entries.map((entry) => join(entry.parentPath, entry.name)).toSorted();
}
