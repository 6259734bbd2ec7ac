import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { replaceJson } from '../../io/manifest.js';
import type { Summary } from '../events.js';

const FINISHED = 'finished.json';

/** Marks a run as one that has come to its end, with what it came to. */
export async function writeFinished(root: string, summary: Summary): Promise<void> {
  await replaceJson(join(root, FINISHED), summary);
}

/** What a run came to that `writeFinished` marked; undefined for others. */
export function readFinished(root: string): Summary | undefined {
  const file = join(root, FINISHED);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Summary) : undefined;
}
