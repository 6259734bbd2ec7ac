import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';

import { messageOf, shortPath, UsageError } from '../../errors.js';
import type { RunFolder } from './run-folder.js';

/** How often a lock is touched, and after how long untouched another machine's program counts as ended, ms. */
const BEAT = 15_000;
const SILENCE = 120_000;

/** Locks of this process: any other lock with its process id is left over from an earlier process. */
const own = new Set<string>();

/**
 * Takes a run's folder for this process, and makes it where there is none. The lock of an ended program is taken over.
 *
 * @returns a function that releases it.
 * @throws {UsageError} if another program uses it, or may.
 */
export function lockRun({ root, lock: file }: RunFolder): () => void {
  try {
    mkdirSync(root, { recursive: true });
    if (!taken(file)) free(file);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${shortPath(root)}  run: expected a folder that can be written to; got ${messageOf(error)}`, {
      cause: error,
    });
  }
  own.add(file);
  const beat = setInterval(() => touch(file), BEAT).unref();
  return () => {
    clearInterval(beat);
    own.delete(file);
    rmSync(file, { force: true });
  };
}

function taken(file: string): boolean {
  try {
    writeFileSync(file, `${process.pid} ${hostname()}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    // On a full disk the file exists, but is empty.
    rmSync(file, { force: true });
    throw error;
  }
}

function touch(file: string): void {
  try {
    utimesSync(file, new Date(), new Date());
  } catch {
    // Somebody removed it: the next write reports that.
  }
}

/** Takes over from an ended program. */
function free(file: string): void {
  const [pid = '', host = ''] = readFileSync(file, 'utf8').trim().split(' ');
  const refuse = (got: string, wayOut: string): never => {
    throw new UsageError(
      `${shortPath(file)}  run: expected a folder that no other program is at; got one that ${got}; way out: ${wayOut}`,
    );
  };
  if (!/^[1-9]\d*$/.test(pid) || host === '')
    refuse('somebody took without saying who', `where no program is at it, remove ${shortPath(file)}`);
  if (host !== hostname()) {
    const recent = Date.now() - statSync(file).mtimeMs < SILENCE;
    if (recent)
      refuse(
        `process ${pid} of ${host} was at within ${SILENCE / 1000} s`,
        `wait for it; where it has ended, for so long, or remove ${shortPath(file)}`,
      );
  } else if (own.has(file) || (Number(pid) !== process.pid && runs(Number(pid)))) {
    refuse(`process ${pid} is at`, 'wait for it, or end it; or another --run');
  }
  rmSync(file, { force: true });
  if (!taken(file)) refuse('another program took just now', 'wait for it; or another --run');
}

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // A process of another user may not be signalled, but exists.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
