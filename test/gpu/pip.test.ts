import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { UsageError } from '../../src/errors.js';
import { openPip } from '../../src/gpu/pip.js';
import { folder } from '../pipelines/files.js';
import { madePython } from './python.js';

describe('openPip', () => {
  it('downloads one wheel, for Linux and any Python, where it is told', async () => {
    const python = madePython();
    const to = join(folder().path, 'new');
    const wheel = await (await openPip(python, false)).download('nvidia-curand>=10,<11', to);
    expect([dirname(wheel), basename(wheel)]).toEqual([
      to,
      'nvidia_curand-10.4.0.35-py3-none-manylinux_2_28_x86_64.whl',
    ]);
    const [, call] = readFileSync(join(dirname(python), 'calls'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { args: string[]; temporary: string });
    expect(call?.args).toEqual(
      expect.arrayContaining([
        '-m',
        'pip',
        'download',
        '--no-deps',
        '--only-binary=:all:',
        'manylinux_2_28_x86_64',
        'manylinux2014_x86_64',
        '--quiet',
      ]),
    );
    expect(call?.args.join(' ')).not.toMatch(/index|https?:/);
    expect(call?.temporary).toBe(to);
  });
  it("says in pip's words what was wrong", async () => {
    const pip = await openPip(madePython({ wheels: {} }), false);
    await expect(pip.download('nvidia-curand>=10,<11', folder().path)).rejects.toThrow(
      'pip  nvidia-curand>=10,<11: expected its wheel; got No matching distribution found for it',
    );
  });
  it('says the last line where pip has no error of its own', async () => {
    const pip = await openPip(madePython({ wheels: {}, says: 'Killed' }), false);
    await expect(pip.download('nvidia-curand>=10,<11', folder().path)).rejects.toThrow(
      'expected its wheel; got Killed',
    );
  });
  it.each([
    ['/nowhere/python', 'no program of that name'],
    [process.execPath, '.*'],
  ])('refuses %s, which is no Python with pip', async (python, said) => {
    const opened = openPip(python, false);
    await expect(opened).rejects.toBeInstanceOf(UsageError);
    await expect(opened).rejects.toThrow(
      new RegExp(
        `^--python: expected a Python with pip, which fetches the wheels; got ${python}: ${said}; way out: install python3 and pip, or --python P$`,
      ),
    );
  });
});
