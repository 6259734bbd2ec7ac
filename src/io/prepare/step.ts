import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { UsageError } from '../../errors.js';

/**
 * One thing to be done to files; what is done already makes no step, so that an interrupted preparation goes on where
 * it was.
 */
export interface Step {
  /** What it does, for people: shown before it is done, or instead of it. */
  readonly text: string;
  run(): Promise<void>;
}

/**
 * Files of a folder and of those inside it, sorted by path; hidden ones are left out.
 *
 * @throws {UsageError} if there is no such folder; `what` was to be done with it.
 */
export function filesIn(root: string, what: string, recursive = true): string[] {
  if (!statSync(root, { throwIfNoEntry: false })?.isDirectory())
    throw new UsageError(`${root}  ${what}: expected a folder; got none`);
  const entries = readdirSync(root, { recursive, withFileTypes: true }).filter(
    (entry) => entry.isFile() && !entry.name.startsWith('.'),
  );
  return entries.map((entry) => join(entry.parentPath, entry.name)).toSorted();
}
