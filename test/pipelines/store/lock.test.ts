import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it, vi } from 'vitest';

import { lockRun } from '../../../src/pipelines/store/lock.js';
import { RunFolder } from '../../../src/pipelines/store/run-folder.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import { run } from '../../../src/pipelines/run/run.js';
import { folder, refusal, stubPipeline } from '../files.js';

const refused = (root: string): Promise<string> => refusal((async () => lockRun(root))());

/** A run's folder that somebody took. */
function taken(text: string): string {
  const root = join(folder().path, 'run');
  mkdirSync(root);
  writeFileSync(new RunFolder(root).lock, text);
  return root;
}

/** A lock as it is written here, with other words. */
function said(change: (words: string[]) => string[]): string {
  const root = join(folder().path, 'run');
  const release = lockRun(root);
  const words = readFileSync(new RunFolder(root).lock, 'utf8').trim().split(' ');
  release();
  return `${change(words).join(' ')}\n`;
}

/** As if its lock had not been touched for more than two minutes. */
function silence(root: string): void {
  const then = new Date(Date.now() - 130_000);
  utimesSync(new RunFolder(root).lock, then, then);
}

describe('lockRun', () => {
  it('lets one in at a time', async () => {
    const root = join(folder().path, 'run');
    const release = lockRun(root);
    expect(await refused(root)).toContain(
      `run.lock  run: expected a folder that no other program is at; got one that process ${process.pid} is at; way out: wait for it`,
    );
    release();
    lockRun(root)();
    expect(existsSync(new RunFolder(root).lock)).toBe(false);
  });

  it('names a program that is at it', async () => {
    expect(await refused(taken(`${process.ppid} ${hostname()}\n`))).toContain(
      `got one that process ${process.ppid} is at`,
    );
  });

  it('takes the place of a program that has ended', () => {
    const root = taken(`${spawnSync('true').pid} ${hostname()}\n`);
    lockRun(root)();
    expect(existsSync(new RunFolder(root).lock)).toBe(false);
  });

  it('takes the place of a program whose number another one has now', () => {
    // The number of a program that lives, with another start: the fifth word.
    const root = taken(said((words) => [String(process.ppid), ...words.slice(1, 4), '1']));
    lockRun(root)();
    const long = taken(`${process.ppid} ${hostname()}\n`);
    silence(long);
    lockRun(long)();
    expect(readdirSync(root)).toEqual([]);
  });

  it.runIf(existsSync('/proc/self/ns/pid'))(
    'waits for a program in another container with the same host name and number, until it is silent',
    async () => {
      const root = taken(said((words) => [...words.slice(0, 3), 'boot/1', words[4] ?? '']));
      expect(await refused(root)).toContain(`got one that process ${process.pid} of ${hostname()} was at within 120 s`);
      silence(root);
      lockRun(root)();
      expect(readdirSync(root)).toEqual([]);
    },
  );

  it('goes on from a program that ended while it took over', () => {
    const ended = `${spawnSync('true').pid} ${hostname()}`;
    const root = taken(`${ended} first\n`);
    writeFileSync(`${new RunFolder(root).lock}.after-first`, `${ended} second\n`);
    const release = lockRun(root);
    expect(readdirSync(root)).toEqual(['run.lock']);
    release();
    expect(readdirSync(root)).toEqual([]);
  });

  it('says where locks are that name each other', async () => {
    const root = taken('1 elsewhere copied\n');
    silence(root);
    cpSync(new RunFolder(root).lock, `${new RunFolder(root).lock}.after-copied`, { preserveTimestamps: true });
    expect(await refused(root)).toContain('got several that take it; way out: another --run');
  });

  it('leaves the lock of who took over while it was silent', async () => {
    const root = join(folder().path, 'run');
    const release = lockRun(root);
    const { lock } = new RunFolder(root);
    rmSync(lock);
    writeFileSync(lock, '7 elsewhere other\n');
    release();
    expect(readFileSync(lock, 'utf8')).toBe('7 elsewhere other\n');
  });

  it('lets go without a word where its folder cannot be read any more', () => {
    const { path, file } = folder();
    const root = join(path, 'run');
    const release = lockRun(root);
    rmSync(root, { recursive: true });
    file('run', '');
    expect(release).not.toThrow();
  });

  it('is one program of several that find the lock of an ended one at the same moment', async () => {
    const root = taken('');
    const program = fileURLToPath(new URL('lock-child.mjs', import.meta.url));
    const children = [1, 2, 3].map(() => fork(program));
    const answers = async (message: { at: number; root: string } | { over: true }): Promise<unknown[]> => {
      const all = children.map((child) => once(child, 'message').then(([answer]) => answer as unknown));
      for (const child of children) child.send(message);
      return await Promise.all(all);
    };
    await Promise.all(children.map((child) => once(child, 'message')));
    const rounds: unknown[] = [];
    for (let i = 0; i < 100; i++) {
      writeFileSync(new RunFolder(root).lock, `4194304 ${hostname()}\n`);
      const got = await answers({ at: Date.now() + 3, root });
      rounds.push(got.filter((answer) => answer === 'got').length);
      await answers({ over: true });
    }
    for (const child of children) child.kill();
    expect(rounds).toEqual(rounds.map(() => 1));
    expect(readdirSync(root)).toEqual([]);
  });

  it('takes the place of a program of another machine that has long been silent', () => {
    const root = taken('7 elsewhere\n');
    silence(root);
    lockRun(root)();
    expect(existsSync(new RunFolder(root).lock)).toBe(false);
  });

  it('is touched while its program lives, and made anew where somebody removed it', () => {
    vi.useFakeTimers();
    const root = join(folder().path, 'run');
    const release = lockRun(root);
    const { lock } = new RunFolder(root);
    const age = (): number => Date.now() - statSync(lock).mtimeMs;
    silence(root);
    vi.advanceTimersByTime(15_000);
    expect(age()).toBeLessThan(100_000);
    rmSync(lock);
    vi.advanceTimersByTime(15_000);
    silence(root);
    vi.advanceTimersByTime(15_000);
    expect(age()).toBeLessThan(100_000);
    release();
    expect(existsSync(lock)).toBe(false);
    vi.useRealTimers();
  });

  it('says once that another program has it', () => {
    vi.useFakeTimers();
    const root = join(folder().path, 'run');
    const lost: string[] = [];
    const release = lockRun(root, ({ message }) => lost.push(message));
    rmSync(new RunFolder(root).lock);
    writeFileSync(new RunFolder(root).lock, '7 elsewhere other\n');
    vi.advanceTimersByTime(60_000);
    expect(lost).toEqual([expect.stringContaining(`expected this program's lock; got that of process 7 of elsewhere`)]);
    release();
    vi.useRealTimers();
  });

  it.each([
    [
      'one of another machine',
      '7 elsewhere\n',
      'got one that process 7 of elsewhere was at within 120 s; way out: wait for it; where it has ended, for so long, or remove ',
    ],
    [
      'one of this machine and number, in words that do not tell when it began',
      `${process.pid} ${hostname()}\n`,
      `got one that process ${process.pid} is at; way out: wait for it`,
    ],
    [
      'one that says nothing',
      '',
      'got one that somebody took without saying who; way out: where no program is at it, remove ',
    ],
  ])('refuses %s', async (_, text, message) => expect(await refused(taken(text))).toContain(message));

  it('says what is wrong with a folder that cannot be one', async () => {
    expect(await refused(join(folder().file('file', ''), 'run'))).toMatch(
      /run: expected a folder that can be written to; got ENOTDIR/,
    );
  });
});

describe('run', () => {
  it('does not begin in a folder that another program is at, and leaves none of its own behind', async () => {
    const root = taken(`${process.ppid} ${hostname()}\n`);
    const pipeline = await readPipeline(stubPipeline('[rows, guess]'));
    expect(await refusal(run(pipeline, { folder: root }))).toContain('is at; way out');
    const other = join(folder().path, 'run');
    await run(pipeline, { folder: other });
    expect(existsSync(new RunFolder(other).lock)).toBe(false);
  });
});
