import { spawn } from 'node:child_process';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { UsageError, withoutCredentials } from '../errors.js';

/** Wheel tags for Linux with glibc 2.28, which the provider needs; pip only accepts the given tags. */
const PLATFORMS = [
  'manylinux_2_28',
  'manylinux_2_27',
  'manylinux_2_26',
  'manylinux_2_24',
  'manylinux_2_17',
  'manylinux2014',
].flatMap((tag) => ['--platform', `${tag}_x86_64`]);

/** Fetches wheels with this machine's pip configuration. */
export interface Pip {
  /**
   * Downloads the wheel of one requirement, without dependencies.
   *
   * @param requirement in pip's syntax, such as `nvidia-curand>=10,<11`.
   * @param folder made where it is not there; one of its own.
   * @returns the wheel's path.
   * @throws if pip fails, with pip's message.
   */
  download(requirement: string, folder: string): Promise<string>;
}

/**
 * pip of a Python.
 *
 * @param python a program, such as `python3`.
 * @param bar whether pip may draw its progress, on standard error.
 * @throws {UsageError} if there is no such program, or it has no pip.
 */
export async function openPip(python: string, bar: boolean): Promise<Pip> {
  const found = await ran(python, ['-m', 'pip', '--version'], {}, false).catch((error: NodeJS.ErrnoException) => ({
    code: -1,
    said: error.code === 'ENOENT' ? 'no program of that name' : error.message,
  }));
  if (found.code !== 0)
    throw new UsageError(
      `--python: expected a Python with pip, which fetches the wheels; got ${python}: ${lastLine(found.said)}; way out: install python3 and pip, or --python P`,
    );
  return {
    async download(requirement, folder) {
      await mkdir(folder, { recursive: true });
      const args = [
        '-m',
        'pip',
        'download',
        '--no-deps',
        '--only-binary=:all:',
        '--python-version',
        '3.12',
        ...PLATFORMS,
        '--no-cache-dir',
        '--disable-pip-version-check',
        '--no-input',
        '--dest',
        folder,
        ...(bar ? [] : ['--quiet']),
        requirement,
      ];
      // Without the cache, since unpacked wheels are useless. Each is first written to the temporary folder, which must
      // be on the disk whose space was checked.
      const { code, said } = await ran(python, args, { TMPDIR: folder }, bar);
      const [wheel] = (await readdir(folder)).filter((name) => name.endsWith('.whl'));
      if (code !== 0 || wheel === undefined)
        throw new Error(`pip  ${requirement}: expected its wheel; got ${withoutCredentials(errorOf(said))}`);
      return join(folder, wheel);
    },
  };
}

/** The error in pip's words. */
function errorOf(said: string): string {
  const errors = said
    .split('\n')
    .filter((line) => line.startsWith('ERROR: '))
    .map((line) => line.slice('ERROR: '.length).trim());
  return errors.length > 0 ? errors.join(' ') : lastLine(said);
}

const lastLine = (said: string): string => said.trim().split('\n').at(-1) || 'nothing that says why';

/** Runs a program to its end; what it prints goes to standard error where it may be shown. */
function ran(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  show: boolean,
): Promise<{ code: number; said: string }> {
  return new Promise((done, fail) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', show ? 2 : 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child.on('error', fail);
    child.on('close', (code) => done({ code: code ?? 1, said }));
  });
}
