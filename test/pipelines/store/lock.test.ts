import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it, vi } from 'vitest';

import { lockRun } from '../../../src/pipelines/store/lock.js';
import { RunFolder } from '../../../src/pipelines/store/run-folder.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import { run } from '../../../src/pipelines/run/run.js';
import { folder, refusal, stubPipeline } from '../files.js';

const refused = (root: string): Promise<string> => refusal((async () => lockRun(new RunFolder(root)))());

/** A run's folder that somebody took. */
function taken(text: string): string {
  const root = join(folder().path, 'run');
  mkdirSync(root);
  writeFileSync(new RunFolder(root).lock, text);
  return root;
}

describe('lockRun', () => {
  it('lets one in at a time', async () => {
    const root = join(folder().path, 'run');
    const release = lockRun(new RunFolder(root));
    expect(await refused(root)).toContain(
      `run.lock  run: expected a folder that no other program is at; got one that process ${process.pid} is at; way out: wait for it`,
    );
    release();
    lockRun(new RunFolder(root))();
    expect(existsSync(new RunFolder(root).lock)).toBe(false);
  });

  it('names a program that is at it', async () => {
    expect(await refused(taken(`${process.ppid} ${hostname()}\n`))).toContain(
      `got one that process ${process.ppid} is at`,
    );
  });

  it.each([
    ['that has ended', () => spawnSync('true').pid],
    ['that had the same number', () => process.pid],
  ])('takes the place of a program %s', (_, pid) => {
    const root = taken(`${pid()} ${hostname()}\n`);
    lockRun(new RunFolder(root))();
    expect(existsSync(new RunFolder(root).lock)).toBe(false);
  });

  it('takes the place of a program of another machine that has long been silent', () => {
    const root = taken('7 elsewhere\n');
    const then = new Date(Date.now() - 130_000);
    utimesSync(new RunFolder(root).lock, then, then);
    lockRun(new RunFolder(root))();
    expect(existsSync(new RunFolder(root).lock)).toBe(false);
  });

  it('is touched while its program lives', () => {
    vi.useFakeTimers();
    const root = taken('7 elsewhere\n');
    const then = new Date(Date.now() - 130_000);
    utimesSync(new RunFolder(root).lock, then, then);
    const release = lockRun(new RunFolder(root));
    utimesSync(new RunFolder(root).lock, then, then);
    vi.advanceTimersByTime(15_000);
    expect(statSync(new RunFolder(root).lock).mtimeMs).toBeGreaterThan(then.getTime() + 100_000);
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
