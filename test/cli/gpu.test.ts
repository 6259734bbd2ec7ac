import { execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';

import { thisMachine } from '../../src/gpu/machine.js';
import { commitOf } from '../../src/gpu/provider.js';
import { madePython } from '../gpu/python.js';
import { wheelFiles } from '../gpu/wheels.js';
import { folder } from '../pipelines/files.js';
import { until } from '../waiting.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const { version, folder: runtime } = thisMachine().onnxruntime;
const commit = commitOf(join(runtime, 'libonnxruntime.so.1')) ?? 'none';

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Nothing of this machine's CUDA is looked at but what the system has. */
const env = { PATH: process.env['PATH'] ?? '', HOME: folder().path };

function segr1(args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return promisify(execFile)(process.execPath, [CLI, ...args], { env: { ...env, ...more } }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
}

const install = (cache: string, python: string): string[] => [
  'gpu',
  'install',
  '--libraries',
  'wheels',
  '--dir',
  cache,
  '--python',
  python,
  '--json',
];

describe('segr1 gpu install', () => {
  it('goes on where it was killed', async () => {
    const to = join(folder().path, 'cuda');
    const child = spawn(
      process.execPath,
      [CLI, ...install(to, madePython({ wheels: wheelFiles({ version, commit }), hang: 'nvidia-curand' }))],
      { env, stdio: 'ignore', detached: true },
    );
    const leftovers = (): string[] =>
      existsSync(to) ? readdirSync(to).filter((name) => name.startsWith('.fetching-')) : [];
    const packages = (): number =>
      existsSync(join(to, 'manifest.json'))
        ? (JSON.parse(readFileSync(join(to, 'manifest.json'), 'utf8')) as { packages: unknown[] }).packages.length
        : 0;
    await until(() => packages() >= 5 && leftovers().length > 0);
    // With what it started, for that hangs.
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    await new Promise((done) => child.once('exit', done));
    expect(leftovers()).toHaveLength(1);

    const { code, stdout, stderr } = await segr1(install(to, madePython({ wheels: wheelFiles({ version, commit }) })));
    expect([
      code,
      stderr
        .split('\n')
        .filter((line) => line.includes('fetching'))
        .map((line) => line.split(' ')[0]),
    ]).toEqual([0, ['nvidia-curand>=10,<11', 'nvidia-cudnn-cu13>=9,<10']]);
    expect(JSON.parse(stdout)).toMatchObject({
      folder: to,
      onnxruntime: version,
      commit,
      fetched: ['nvidia-curand', 'nvidia-cudnn-cu13'],
    });
    expect(leftovers()).toEqual([]);
  });

  it('says what it did, what is still missing, and what to do next', async () => {
    const to = join(folder().path, 'cuda');
    const python = madePython({ wheels: wheelFiles({ version, commit }) });
    const { stdout } = await segr1(['gpu', 'install', '--libraries', 'wheels', '--dir', to, '--python', python]);
    expect(stdout).toMatch(/^\S+ {2}installed\n {2}onnxruntime-node +\S+ +\d+ MB {2}written\n/);
    expect(stdout).toContain(`Set SEGR1_CUDA=${to}, for only the default folder is found by itself.`);
    expect(stdout.trim().split('\n').at(-1)).toMatch(/segr1 doctor$/);
    expect((await segr1(['gpu', 'install', '--libraries', 'wheels', '--dir', to, '--python', python])).stdout).toMatch(
      /^\S+ {2}complete, nothing to do\n/,
    );
  });

  it('fails with 1 where pip does, and names no registry', async () => {
    const { code, stderr } = await segr1(install(join(folder().path, 'cuda'), madePython({ wheels: {} })));
    expect([code, stderr.trim().split('\n').at(-1)]).toEqual([
      1,
      `pip  onnxruntime-gpu==${version}: expected its wheel; got No matching distribution found for it`,
    ]);
  });

  it.each([
    [['gpu'], 'gpu: expected install; got nothing'],
    [['gpu', 'install', '--libraries', 'none'], '--libraries: expected auto, system, wheels; got "none"'],
    [['gpu', 'install', '--dir', 'a', '--dir', 'b'], '--dir: expected it once; got ["a","b"]'],
    [
      ['gpu', 'install', '--libraries', 'wheels', '--python', '/nowhere/python'],
      '--python: expected a Python with pip, which fetches the wheels; got /nowhere/python: no program of that name; way out: install python3 and pip, or --python P',
    ],
  ])('%j is refused', async (args, message) => {
    const { code, stderr } = await segr1(args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});
