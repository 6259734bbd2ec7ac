import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { fittingStem } from './file-name.js';
import { kindAt } from './user-files.js';

/**
 * Marks a folder while it is being filled; distinguishes what a killed program left from a user's folder of that name.
 */
const MARK = '.segr1-partial';

/**
 * Makes a folder that appears whole or not at all: it is filled as `DIR.partial`, then renamed. If the user has a
 * `DIR.partial`, the name is `DIR.partial-2`, and so on. Leftovers of a killed program are removed.
 *
 * @param dir an existing folder of this name is removed once the new one is complete; the caller has checked that it
 * may be.
 * @throws what `fill` throws; nothing is left of the new folder then.
 */
export async function replaceWhole(dir: string, fill: (fresh: string) => Promise<void>): Promise<void> {
  const fresh = await begin(dir);
  try {
    await fill(fresh);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw error;
  }
  await rm(join(fresh, MARK));
  await rm(dir, { recursive: true, force: true });
  await rename(fresh, dir);
}

async function begin(dir: string): Promise<string> {
  await mkdir(dirname(dir), { recursive: true });
  for (let n = 1; ; n++) {
    const ending = `.partial${n === 1 ? '' : `-${n}`}`;
    const fresh = join(dirname(dir), `${fittingStem(basename(dir), ending)}${ending}`);
    if (kindAt(fresh) === 'folder' && existsSync(join(fresh, MARK))) await rm(fresh, { recursive: true });
    if (kindAt(fresh) !== undefined) continue;
    await mkdir(fresh);
    await writeFile(join(fresh, MARK), 'being made by segr1; may be removed where no program is at it\n');
    return fresh;
  }
}
