import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';

import { folder } from '../pipelines/files.js';

const root = join(import.meta.dirname, '../..');

/** A name that sets the window's title, clears the screen, turns text around and begins a line of its own. */
const NAME = 'a\u001b]0;owned\u0007\u001b[2J\u009b31m\u202egnp\nstep 1  done';

function segr1(args: readonly string[], cwd: string): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [join(root, 'dist/cli.js'), ...args], { cwd }, (_, out, err) =>
      resolve({ code: child.exitCode, out, err }),
    );
  });
}

// oxlint-disable-next-line no-control-regex
const COMMANDS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;

/** A folder with one unreadable picture of that name. */
function place() {
  const made = folder();
  mkdirSync(join(made.path, 'images'));
  made.file(`images/${NAME}.png`, 'x');
  made.file(
    'y.yaml',
    'tolerate: 5\nstages:\n  - load: { images: images, frame: 64, instruction: "\\e[2J\\u202eleft\\nright" }\n  - write\n',
  );
  return made;
}

describe('what is printed', () => {
  it.each([
    ['marked rows', ['pipeline', 'y.yaml', '--run', 'r'], 0],
    ['the end of a run', ['pipeline', 'y.yaml', '--run', 'r', '--set', 'tolerate=0'], 1],
    ['JSON lines', ['pipeline', 'y.yaml', '--run', 'r', '--json'], 0],
    ['the checked pipeline', ['pipeline', 'y.yaml', '--check'], 0],
    ['a missing file', ['pipeline', `${NAME}.yaml`], 2],
    ['a name that is none', ['pipeline', 'y.yaml', '--set', `${NAME}=1`], 2],
    ['a value', ['pipeline', 'y.yaml', '--set', `seed=${JSON.stringify('\u202e\u009b')}`], 2],
    ['an option that is none', ['pipeline', 'y.yaml', `--${NAME}`], 2],
    ['a command that is none', [NAME], 2],
    ['unreadable images', ['segment', 'images', '--box', '1,1,2,2', '--out', 'o'], 1],
    ['what is no checkpoint', ['models', 'inspect', `images/${NAME}.png`], 1],
    ['a list', ['prepare', 'list', 'list.jsonl', '--images', 'images', '--masks', 'images'], 2],
    ['scores', ['score', '--predictions', 'images', '--truth', 'images'], 1],
  ] as const)('does not command the terminal: %s', async (_, args, code) => {
    const { path } = place();
    const ended = await segr1(args, path);
    expect(ended.out + ended.err).not.toMatch(COMMANDS);
    expect(ended.code, ended.err).toBe(code);
  });

  it('keeps a name on its line, and to be recognised', async () => {
    const { out } = await segr1(['pipeline', 'y.yaml', '--run', 'r'], place().path);
    expect(out).toContain('a\\u001b]0;owned\\u0007\\u001b[2J\\u009b31m\\u202egnp\\u000astep 1  done');
    expect(out).not.toMatch(/^step/m);
  });

  it('is JSON and YAML of the same value', async () => {
    const { path } = place();
    const told = await segr1(['pipeline', 'y.yaml', '--check', '--json'], path);
    const written = await segr1(['pipeline', 'y.yaml', '--check'], path);
    const { name, plan, unchecked, ...pipeline } = JSON.parse(told.out) as {
      name: string;
      stages: [{ load: { instruction: string } }];
      plan: object;
      unchecked: unknown;
    };
    expect(plan).toMatchObject({ rows: expect.any(Number) as number });
    expect(unchecked).toEqual([]);
    expect(pipeline.stages[0].load.instruction).toBe('\u001b[2J\u202eleft\nright');
    expect(parse(written.out)).toEqual({ [name]: pipeline });
  });
});
