import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';

import { examples } from '../../src/cli/examples.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const segr1 = async (...args: readonly string[]): Promise<string> =>
  (await promisify(execFile)(process.execPath, [`${ROOT}/dist/cli.js`, ...args], { cwd: '/' })).stdout;

describe('segr1 --help', () => {
  it('lists commands that have examples, all of them', async () => {
    const help = await segr1('--help');
    const commands = [...help.matchAll(/^ {2}segr1 ([a-z]+)(?: [<[]|  )/gm)].map(([, name]) => name);
    expect(commands).toContain('pipeline');
    expect(commands.filter((name) => name !== 'completion').every((name) => name in examples)).toBe(true);
  });

  it.each(Object.entries(examples))('%s shows its examples, with options that it has', async (name, lines) => {
    const help = await segr1(...name.split(' ').filter((word) => word !== 'segr1'), '--help');
    const options = [...help.matchAll(/^ {2,}(?:-\w, )?(--[\w-]+)/gm)].map(([, option]) => option);
    for (const [line] of lines) {
      expect(help).toContain(`\n  ${line}\n`);
      if (name === 'segr1') continue;
      expect(line.startsWith(`segr1 ${name}`)).toBe(true);
      expect(line.split(' ').filter((word) => word.startsWith('--') && !options.includes(word))).toEqual([]);
    }
  });
});

describe('segr1 --version', () => {
  it('is that of segr1, wherever it is asked', async () => {
    const { version } = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8')) as { version: string };
    expect(await segr1('--version')).toBe(`${version}\n`);
    expect(await segr1('-v')).toBe(`${version}\n`);
  });
});

describe('segr1 stages', () => {
  it('lists the stages that are named', async () => {
    const listed = await segr1('stages', 'mask', 'rollout');
    expect(listed.match(/^\w+/gm)).toEqual(['rollout', 'mask']);
    expect(Object.keys((JSON.parse(await segr1('stages', 'mask', '--json')) as { stages: object }).stages)).toEqual([
      'mask',
    ]);
  });

  it('refuses one that nobody knows, with 2', async () => {
    await expect(segr1('stages', 'rollut', 'mask')).rejects.toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^stages {2}no stage is called "rollut"; known: .*; nearest: rollout\n$/),
    });
  });
});

describe('segr1 completion', () => {
  it('prints a script that asks segr1 for the words, and gives them', async () => {
    expect(await segr1('completion')).toContain('segr1 --get-yargs-completions');
    expect((await segr1('--get-yargs-completions', 'segr1', 'pip')).trim()).toContain('pipeline');
    expect(await segr1('--get-yargs-completions', 'segr1', 'pipeline', '--max')).toContain('--max-steps');
  });
});
