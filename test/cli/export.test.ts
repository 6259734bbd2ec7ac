import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { fixturesFolder } from '../golden/golden.js';
import { folder } from '../pipelines/files.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const policy = join(fixturesFolder(), 'policy');
const tiny = join(policy, 'tiny-qwen2_5_vl');
const adapter = join(policy, 'train', 'lora');

/** A folder with a run of two checkpoints, an adapter and an export that is there already. */
function place(): string {
  const { path } = folder();
  for (const step of [9, 10]) {
    cpSync(tiny, join(path, 'run/checkpoints', `step-${step}`), { recursive: true });
    writeFileSync(join(path, 'run/checkpoints', `step-${step}`, 'LICENSE'), String(step));
  }
  cpSync(adapter, join(path, 'lora'), { recursive: true });
  mkdirSync(join(path, 'empty'));
  return path;
}

function segr1(cwd: string, args: readonly string[]): Promise<{ code: unknown; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, 'export', ...args], { cwd }, (error, out, err) =>
      resolve({ code: error?.code ?? 0, out, err }),
    );
  });
}

describe('segr1 export', () => {
  it('folds an adapter into the base that is named', async () => {
    const path = place();
    const { code, out, err } = await segr1(path, ['lora', '--base', tiny, '--merged', 'empty']);
    expect([code, err]).toEqual([0, '']);
    expect(out).toBe(`empty  ${tiny} with ${out.match(/with (\d+)/)?.[1]} matrices of lora folded in\n`);
    expect(readdirSync(join(path, 'empty')).toSorted()).toEqual(readdirSync(tiny).toSorted());
    expect(
      readFileSync(join(path, 'empty/model.safetensors')).equals(readFileSync(join(tiny, 'model.safetensors'))),
    ).toBe(false);
    expect(readdirSync(path).toSorted()).toEqual(['empty', 'lora', 'run']);
  });

  it('takes the base from the adapter where that is a folder', async () => {
    const path = place();
    const file = join(path, 'lora/adapter_config.json');
    writeFileSync(
      file,
      JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), base_model_name_or_path: tiny }),
    );
    expect((await segr1(path, ['lora', '--merged', 'out'])).code).toBe(0);
    expect(existsSync(join(path, 'out/config.json'))).toBe(true);
  });

  it.each([
    ['the newest', [], '10'],
    ['one by its step', ['--step', '9'], '9'],
  ])("copies a run's checkpoint: %s", async (_, args, step) => {
    const path = place();
    const { code, out } = await segr1(path, ['run', '--merged', 'out', ...args]);
    expect([code, out]).toEqual([0, `out  a copy of run/checkpoints/step-${step}\n`]);
    expect(readFileSync(join(path, 'out/LICENSE'), 'utf8')).toBe(step);
    expect(
      readFileSync(join(path, 'out/model.safetensors')).equals(readFileSync(join(tiny, 'model.safetensors'))),
    ).toBe(true);
  });

  it('leaves folders that are called as its own would be until it is whole, and removes one that was left by it', async () => {
    const path = place();
    mkdirSync(join(path, 'out.partial'));
    writeFileSync(join(path, 'out.partial/precious'), 'x');
    mkdirSync(join(path, 'out.partial-2'));
    writeFileSync(join(path, 'out.partial-2/.segr1-partial'), '');
    expect((await segr1(path, ['run', '--merged', 'out'])).code).toBe(0);
    expect([
      readdirSync(path).toSorted(),
      readdirSync(join(path, 'out.partial')),
      readdirSync(join(path, 'out')).includes('.segr1-partial'),
    ]).toEqual([['empty', 'lora', 'out', 'out.partial', 'run'], ['precious'], false]);
  });

  it('refuses a link to nothing', async () => {
    const path = place();
    symlinkSync('nowhere', join(path, 'out'));
    const { code, err } = await segr1(path, ['run', '--merged', 'out']);
    expect([code, err.trim(), readlinkSync(join(path, 'out'))]).toEqual([
      2,
      'out  --merged: expected a new or empty folder; got a link to nothing; way out: another folder',
      'nowhere',
    ]);
  });

  it.each([
    [
      'a folder in use',
      ['run', '--merged', 'lora'],
      'lora  --merged: expected a new or empty folder; got one with files in it; way out: another folder',
    ],
    ['a file', ['run', '--merged', 'lora/adapter_config.json'], '--merged: expected a new or empty folder; got a file'],
    [
      'a step that was not kept',
      ['run', '--merged', 'out', '--step', '3'],
      'run  export: expected a run with checkpoints/step-3; got a folder without',
    ],
    [
      'a step of one checkpoint',
      ['lora', '--merged', 'out', '--step', '3'],
      '--step: expected it with a run, which has several; got lora, a checkpoint of its own',
    ],
    [
      'nothing',
      ['gone', '--merged', 'out'],
      'gone  export: expected a run with a checkpoint, a checkpoint or an adapter; got nothing of that name',
    ],
    [
      'a base on the hub',
      ['lora', '--merged', 'out'],
      'lora/adapter_config.json  base_model_name_or_path: expected the folder of a checkpoint; got "tiny-qwen2_5_vl", which is none here; way out: --base DIR',
    ],
    [
      'a base that is none',
      ['lora', '--merged', 'out', '--base', 'empty'],
      '--base: expected the folder of a checkpoint; got "empty"',
    ],
    [
      'a base without an adapter',
      ['run', '--merged', 'out', '--base', tiny],
      '--base: expected it with an adapter; got run/checkpoints/step-10, a whole checkpoint',
    ],
  ])('refuses %s', async (_, args, message) => {
    const path = place();
    const { code, err } = await segr1(path, args);
    expect([code, err.trim()]).toEqual([2, expect.stringContaining(message)]);
    expect(existsSync(join(path, 'out'))).toBe(false);
  });
});
