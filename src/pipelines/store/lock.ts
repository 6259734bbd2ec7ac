import { createHash, randomUUID } from 'node:crypto';
import {
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';

import { messageOf, shortPath, UsageError } from '../../errors.js';
import { RunFolder } from './run-folder.js';

/** How often a lock is touched, and after how long untouched its program counts as ended, ms. */
const BEAT = 15_000;
const SILENCE = 120_000;

/** What a lock says of its owner. */
interface Lock {
  readonly file: string;
  /** Of this lock alone, so that each has one successor. */
  readonly token: string;
  readonly pid: string;
  readonly host: string;
  /** Boot of the machine and space of process ids, and the owner's start there; where the system tells them. */
  readonly place?: string | undefined;
  readonly start?: string | undefined;
  /** When it was touched, ms, by the clock of the disk. */
  readonly touched: number;
}

/**
 * Takes a run's folder for this process, and makes it where there is none. The lock of an ended program is taken over.
 *
 * One program has it, whoever else tries: the owner is the last of a chain of files, `run.lock` first. Each link is
 * made in one call that fails where it is there already, and names the lock that it follows. The owner then puts its
 * own in the place of `run.lock`.
 *
 * @param lost called once if the lock is found to be another program's, for somebody removed it.
 * @returns a function that releases it.
 * @throws {UsageError} if another program uses the folder, or may.
 */
export function lockRun(root: string, lost: (fault: Error) => void = () => {}): () => void {
  const { lock: file } = new RunFolder(root);
  const token = randomUUID();
  const text = `${[process.pid, hostname(), token, place(), startOf(process.pid)].filter(Boolean).join(' ')}\n`;
  const fresh = `${file}.${token}`;
  let held: number;
  try {
    mkdirSync(root, { recursive: true });
    try {
      writeFileSync(fresh, text, { flag: 'wx' });
      take(file, fresh, token);
      held = openSync(file, 'r+');
    } finally {
      rmSync(fresh, { force: true });
    }
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${shortPath(root)}  run: expected a folder that can be written to; got ${messageOf(error)}`, {
      cause: error,
    });
  }

  const look = (): void => {
    try {
      // Written, not stamped, so that the disk's clock says when; an open file, so that it is no other's.
      writeSync(held, text, 0);
      const now = read(file);
      if (now && now.token !== token) {
        clearInterval(beat);
        lost(new Error(`${shortPath(file)}  run: expected this program's lock; got ${whose(now)}`));
      } else if (!now) {
        writeFileSync(file, text, { flag: 'wx' });
        closeSync(held);
        held = openSync(file, 'r+');
      }
    } catch {
      // A full disk, or one that is gone: the next write of the run reports that.
    }
  };
  const beat = setInterval(look, BEAT).unref();
  return () => {
    clearInterval(beat);
    // A disk that can't be written to any more must not hide why the run ended.
    try {
      // Before the look: who took it for silent sees that it isn't, or is seen.
      writeSync(held, text, 0);
      closeSync(held);
      if (read(file)?.token === token && read(after(file, token)) === undefined) rmSync(file);
    } catch {}
  };
}

/** @throws {UsageError} if somebody has it. */
function take(file: string, fresh: string, token: string): void {
  for (let tries = 0; tries < 100; tries++) {
    const chain = chainOf(file);
    const last = chain.at(-1);
    if (last && alive(last, statSync(fresh).mtimeMs)) refuse(last);
    if (!created(fresh, last ? after(file, last.token) : file)) continue;
    if (!last) return;
    // The chain may be another by now: then what was made follows nothing.
    const now = chainOf(file);
    const same = now.length === chain.length + 1 && chain.every((lock, i) => lock.token === now[i]?.token);
    const mine = after(file, last.token);
    if (same && !alive(now[chain.length - 1], statSync(fresh).mtimeMs)) {
      renameSync(fresh, file);
      for (const { token: before } of chain) rmSync(after(file, before), { force: true });
      return;
    }
    if (read(mine)?.token === token) rmSync(mine);
  }
  throw new UsageError(
    `${shortPath(file)}  run: expected a folder that no other program is at; got several that take it; way out: another --run`,
  );
}

const after = (file: string, token: string): string => `${file}.after-${token}`;

/** Makes `to` with what is in `from`; false where it is there already. */
function created(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw error;
  }
  // A disk without links.
  try {
    writeFileSync(to, readFileSync(from), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** `run.lock` and what follows; the owner is last. */
function chainOf(file: string): Lock[] {
  const chain: Lock[] = [];
  // A link that names one before it, as a copy does, ends the chain.
  const again = ({ token }: Lock): boolean => chain.some((one) => one.token === token);
  for (let lock = read(file); lock && !again(lock); lock = read(after(file, lock.token))) chain.push(lock);
  return chain;
}

function read(file: string): Lock | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    const { mtimeMs: touched, ino } = statSync(file);
    const [pid = '', host = '', token = madeUp(`${ino} ${text}`), where, start] = text.trim().split(/\s+/);
    return { file, token: /^[\w-]+$/.test(token) ? token : madeUp(token), pid, host, place: where, start, touched };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const madeUp = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32);

/** Whether the owner of a lock runs, or may. @param now ms, by the clock of the disk. */
function alive({ pid, host, place: where, start, touched }: Lock, now: number): boolean {
  const here = place();
  const heard = now - touched < SILENCE;
  if (where !== undefined && where === here) {
    const began = startOf(Number(pid));
    return began === undefined ? heard && runs(Number(pid)) : began === start;
  }
  // The same host name and another place: a container, whose processes can't be seen from here.
  if (where !== undefined || host !== hostname() || !isPid(pid)) return heard;
  return heard && runs(Number(pid));
}

const isPid = (text: string): boolean => /^[1-9]\d*$/.test(text);

function whose({ pid, host }: Lock): string {
  return isPid(pid) ? `that of process ${pid} of ${host}` : 'one that somebody made';
}

function refuse({ file, pid, host, place: where }: Lock): never {
  const refused = (got: string, wayOut: string): never => {
    throw new UsageError(
      `${shortPath(file)}  run: expected a folder that no other program is at; got one that ${got}; way out: ${wayOut}`,
    );
  };
  const name = shortPath(file);
  if (!isPid(pid) || host === '')
    return refused('somebody took without saying who', `where no program is at it, remove ${name}`);
  if (host === hostname() && (where === undefined || where === place()))
    return refused(`process ${pid} is at`, 'wait for it, or end it; or another --run');
  return refused(
    `process ${pid} of ${host} was at within ${SILENCE / 1000} s`,
    `wait for it; where it has ended, for so long, or remove ${name}`,
  );
}

/** This boot of this machine, and the space of process ids in it, which containers have their own of. */
function place(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot}/${/\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0]}`;
  } catch {
    return undefined;
  }
}

/** When a process began, in ticks since boot; undefined where there is none, or the system doesn't tell. */
function startOf(pid: number): string | undefined {
  try {
    // The program's name, in brackets, may hold anything.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? 'ended' : rest[18];
  } catch {
    return undefined;
  }
}

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // A process of another user may not be signalled, but exists.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
