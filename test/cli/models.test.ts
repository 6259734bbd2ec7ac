import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { fixturesFolder } from '../golden/golden.js';
import { folder } from '../pipelines/files.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const policy = join(fixturesFolder(), 'policy');
const tiny = join(policy, 'tiny-qwen2_5_vl');

function segr1(...args: readonly string[]): Promise<{ code: unknown; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, 'models', ...args], { cwd: folder().path }, (error, out, err) =>
      resolve({ code: error?.code ?? 0, out, err }),
    );
  });
}

describe('segr1 models inspect', () => {
  it('prints what a checkpoint is and what runs of it need', async () => {
    const { code, out } = await segr1('inspect', tiny, '--frame', '112', '--prompts', '4');
    expect(code).toBe(0);
    expect(out).toMatch(/^model {4}\S+ {2}qwen2_5_vl$/m);
    expect(out).toMatch(/^weights {2}0\.3 M: language 0\.1 M, vision 0\.1 M, embeddings 0\.1 M$/m);
    expect(out).toMatch(/^run {6}frame 112, group 8, 400 tokens, 4 prompts a run, float32$/m);
    expect(out).toMatch(/^GB +rollout +full +lora 16$/m);
    expect(out).toMatch(/^in all( +\d+\.\d){3}$/m);
  });

  it('refuses a folder that is not there, with 2', async () => {
    expect(await segr1('inspect', 'nowhere')).toEqual({
      code: 2,
      out: '',
      err: '"nowhere"  models inspect: expected the folder of a policy, an adapter or a segmenter; got nothing there\n',
    });
  });

  it('prints the same as JSON, and an adapter with its base', async () => {
    const { out } = await segr1(
      'inspect',
      join(policy, 'train/lora'),
      '--base',
      tiny,
      '--json',
      '--group',
      '2',
      '--max-tokens',
      '9',
      '--precision',
      'bfloat16',
    );
    expect(JSON.parse(out)).toMatchObject({
      kind: 'adapter',
      rank: 4,
      base: tiny,
      checkpoint: {
        use: { frame: 768, group: 2, maxTokens: 9, prompts: 1, precision: 'bfloat16' },
        memory: { rollout: {}, full: {}, 'lora 4': {} },
      },
    });
    expect((await segr1('inspect', join(policy, 'train/lora'))).out).toMatch(
      /^base {5}tiny-qwen2_5_vl, which is no folder here; --base DIR names one$/m,
    );
  });

  it('prints what a running average of the weights needs', async () => {
    const { out } = await segr1('inspect', tiny, '--ema');
    expect(out).toMatch(/^run .*, float32, weights averaged$/m);
    expect(out).toMatch(/^average( +\d+\.\d){2}$/m);
  });

  it('prints what layers need that are computed again', async () => {
    const of = async (...more: readonly string[]) =>
      JSON.parse((await segr1('inspect', tiny, '--json', ...more)).out) as {
        use: object;
        memory: Record<string, { total: number }>;
      };
    const [kept, again] = [await of(), await of('--gradient-checkpointing')];
    expect([kept.use, again.use]).toMatchObject([{ gradientCheckpointing: false }, { gradientCheckpointing: true }]);
    expect(again.memory['full'].total).toBeLessThan(kept.memory['full'].total);
    expect(again.memory['rollout']).toEqual(kept.memory['rollout']);
  });

  it('prints what is taken of a GPU, and what comes beside it', async () => {
    const { out } = await segr1('inspect', tiny, '--device', 'cuda', '--precision', 'bfloat16');
    expect(out).toMatch(/^run .*, bfloat16 on CUDA$/m);
    expect(out).not.toMatch(/^runtime/m);
    expect(out).toContain("not measured on one. CUDA's own context and its libraries' workspaces come beside it");
    expect((await segr1('inspect', tiny, '--device', 'cuda', '--precision', 'float16')).out).toMatch(/^GB +rollout$/m);
    expect((await segr1('inspect', join(fixturesFolder(), 'segmenter', 'tiny-128'), '--device', 'cuda')).out).toContain(
      'not measured on one',
    );
  });

  it('prints what a segmenter is, and what its runs need', async () => {
    const { code, out } = await segr1('inspect', join(fixturesFolder(), 'segmenter', 'tiny-128'), '--prompts', '9');
    expect(code).toBe(0);
    expect(out).toMatch(/^model {4}\S+ {2}sam2$/m);
    expect(out).toMatch(/^looks at 128 × 128 px$/m);
    expect(out).toMatch(/^GB +embed +decode 8$/m);
  });

  it.each([
    [
      'no folder',
      ['inspect', 'gone'],
      2,
      '"gone"  models inspect: expected the folder of a policy, an adapter or a segmenter; got nothing there',
    ],
    [
      'half a frame',
      ['inspect', tiny, '--frame', '7.5'],
      2,
      '--frame: expected a whole number of at least 1; got "7.5"',
    ],
    [
      'another precision',
      ['inspect', tiny, '--precision', 'int8'],
      2,
      '--precision: expected float32 or bfloat16; got int8',
    ],
    [
      'what a CPU gains nothing by',
      ['inspect', tiny, '--precision', 'float16'],
      2,
      '--precision: expected float32 or bfloat16; got float16',
    ],
    [
      'another precision on a GPU',
      ['inspect', tiny, '--device', 'cuda', '--precision', 'int8'],
      2,
      '--precision: expected float32, bfloat16 or float16; got int8',
    ],
    ['another device', ['inspect', tiny, '--device', 'tpu'], 2, '--device: expected cpu or cuda; got tpu'],
    ['nothing to do', [], 2, 'models: expected inspect; got nothing'],
  ])('refuses %s', async (_, args, status, message) => {
    const { code, err } = await segr1(...args);
    expect([code, err]).toEqual([status, expect.stringContaining(message)]);
  });
});
