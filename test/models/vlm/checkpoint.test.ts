import { cp, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { ModelError, UsageError } from '../../../src/errors.js';
import { folderTensors } from '../../../src/io/safetensors.js';
import { PRECISIONS, replaceFolder, saveWeights, type Precision } from '../../../src/models/vlm/checkpoint.js';
import { readConfig } from '../../../src/models/qwen2_5_vl/architecture.js';
import { findWeights, readWeights, type Store, type WeightFiles } from '../../../src/models/vlm/weight-files.js';
import { folder, open, tied, tiny } from './opened.js';

type Json = Record<string, unknown>;

const found = async (dir: string): Promise<WeightFiles> => findWeights(dir, await readConfig(dir));
const configOf = async (dir: string): Promise<Json> =>
  JSON.parse(await readFile(join(dir, 'config.json'), 'utf8')) as Json;

/** What is read back of weights that were saved. */
async function saved(
  from: WeightFiles,
  store: Store | undefined,
  precision?: Precision,
  most?: number,
): Promise<{ readonly dir: string; readonly back: Store }> {
  const dir = join(await folder(), 'saved');
  await saveWeights(from, dir, store, precision, most);
  return { dir, back: await readWeights(await found(dir)) };
}

/** Weights a little off the file's, so that rounding shows. */
async function moved(files: WeightFiles): Promise<Store> {
  const store = await readWeights(files);
  for (let i = 0; i < store.values.length; i++) store.values[i] *= 1 + 1e-3 * Math.sin(i);
  return store;
}

describe('saveWeights', () => {
  it.each([
    ['float32, by default', tiny, undefined, 'float32'],
    ['bfloat16, by default', tied, undefined, 'bfloat16'],
    ['float16 out of float32', tiny, 'float16', 'float16'],
    ['bfloat16 out of float32', tiny, 'bfloat16', 'bfloat16'],
    ['float32 out of bfloat16', tied, 'float32', 'float32'],
  ] as const)('writes %s, and names it in config.json', async (_, from, precision, expected) => {
    const files = await found(from);
    const store = await moved(files);
    const { dir, back } = await saved(files, store, precision);
    const tensors = await folderTensors(dir);
    expect(new Set(tensors.names.map((name) => tensors.info(name).dtype))).toEqual(new Set([PRECISIONS[expected]]));
    expect(await configOf(dir)).toEqual({ ...(await configOf(from)), torch_dtype: expected });
    // Half of the last of 24, 11 or 8 binary places; below 2 ** -14 of float16's 2 ** -24.
    const share = { float32: 0, float16: 2 ** -11, bfloat16: 2 ** -8 }[expected];
    const most = store.values.reduce(
      (worst, value, i) => Math.max(worst, Math.abs(back.values[i] - value) - share * Math.abs(value)),
      0,
    );
    expect(most).toBeLessThanOrEqual(expected === 'float16' ? 2 ** -25 : 0);
    expect(back.values.some((value, i) => value !== store.values[i])).toBe(expected !== 'float32');
  });

  it('writes weights that did not learn as they are, byte by byte', async () => {
    const { dir } = await saved(await found(tied), undefined);
    const [own, original] = [await folderTensors(dir), await folderTensors(tied)];
    expect(own.names.toSorted()).toEqual(original.names.toSorted());
    for (const name of own.names)
      expect(Buffer.compare(await own.readBytes(name), await original.readBytes(name)), name).toBe(0);
  });

  it('cuts what is more than a file takes', async () => {
    const files = await found(tied);
    const { dir, back } = await saved(files, undefined, undefined, 200_000);
    const shards = (await readdir(dir)).filter((name) => name.endsWith('.safetensors'));
    expect(shards.length).toBeGreaterThan(2);
    expect(shards[0]).toBe(`model-00001-of-0000${shards.length}.safetensors`);
    expect(back).toEqual(await readWeights(files));
  });

  it('leaves what is no part of a checkpoint where it lies, of an adapter’s base too', async () => {
    const dir = join(await folder(), 'base');
    await cp(tiny, dir, { recursive: true });
    for (const name of ['.env', 'pytorch_model.bin', 'README.md', 'tokenizer.json.bak', 'old.safetensors'])
      await writeFile(join(dir, name), 'x');
    const { dir: to } = await saved(await found(dir), undefined);
    expect(await readdir(to)).toEqual(await readdir(tiny));
    const adapter = join(await folder(), 'adapter');
    await (await open({ train: { lora: { rank: 2, alpha: 4, targets: ['q_proj'] } } }, dir)).save(adapter);
    expect(await readdir(adapter)).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'chat_template.json',
      'preprocessor_config.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
  });

  it.each([
    [
      'the newer spelling, nested too',
      (config: Json): Json => ({
        ...config,
        torch_dtype: undefined,
        dtype: 'bfloat16',
        vision_config: { ...(config['vision_config'] as Json), dtype: 'bfloat16', torch_dtype: null },
      }),
    ],
    ['none', (config: Json): Json => ({ ...config, torch_dtype: undefined })],
  ])('names the precision where config.json has %s', async (label, change) => {
    const dir = await folder();
    await cp(tied, dir, { recursive: true });
    await writeFile(join(dir, 'config.json'), JSON.stringify(change(await configOf(tied))));
    const config = await configOf((await saved(await found(dir), undefined, 'float16')).dir);
    const vision = config['vision_config'] as Json;
    expect([config['dtype'], config['torch_dtype'], vision['dtype'], vision['torch_dtype']]).toEqual(
      label === 'none' ? [undefined, 'float16', undefined, undefined] : ['float16', undefined, 'float16', 'float16'],
    );
  });

  it("makes files of links, such as a hub's cache is made of", async () => {
    const dir = await folder();
    for (const name of await readdir(tiny)) await symlink(join(tiny, name), join(dir, name));
    const { dir: to, back } = await saved(await found(dir), undefined);
    const files = await readdir(to, { withFileTypes: true });
    expect(files.map(({ name }) => name)).toEqual(await readdir(tiny));
    expect(files.every((file) => file.isFile())).toBe(true);
    expect(back).toEqual(await readWeights(await found(tiny)));
  });

  it('refuses to write over what it was opened from', async () => {
    const dir = await folder();
    await cp(tiny, dir, { recursive: true });
    await expect(saveWeights(await found(dir), `${dir}/`)).rejects.toThrow(
      new ModelError(`${dir}/  checkpoint: expected another folder than the one that was opened; got the same`),
    );
  });
});

describe('replaceFolder', () => {
  const all = (): boolean => true;
  const copied = async (dir: string): Promise<void> => replaceFolder(tiny, dir, all, async () => {});

  it.each<[string, (dir: string) => Promise<unknown>, string]>([
    [
      'a file beside a checkpoint',
      async (dir) => [await copied(dir), await writeFile(join(dir, 'notes.md'), 'mine')],
      'got one with notes.md in it',
    ],
    [
      'a folder of something else',
      async (dir) => [await mkdir(dir), await mkdir(join(dir, 'photos'))],
      'got one with photos in it',
    ],
    ['a file', async (dir) => writeFile(dir, 'mine'), 'got a file'],
    ['a link to nothing', async (dir) => symlink('nowhere', dir), 'got a link to nothing'],
  ])('refuses to take the place of %s', async (_, make, got) => {
    const place = await folder();
    await make(join(place, 'm'));
    const before = await readdir(place, { recursive: true });
    await expect(copied(join(place, 'm'))).rejects.toThrow(
      new UsageError(
        `${join(place, 'm')}  checkpoint: expected a new or empty folder, or an older checkpoint; ${got}; way out: another folder`,
      ),
    );
    expect(await readdir(place, { recursive: true })).toEqual(before);
  });

  it('takes the place of an older checkpoint, and fills the folder that a link leads to', async () => {
    const place = await folder();
    await mkdir(join(place, 'real'));
    await symlink('real', join(place, 'm'));
    for (let time = 0; time < 2; time++) await copied(join(place, 'm'));
    expect([await readlink(join(place, 'm')), await readdir(place), await readdir(join(place, 'real'))]).toEqual([
      'real',
      ['m', 'real'],
      await readdir(tiny),
    ]);
  });

  it('leaves a folder of the user’s that is called as its own until it is whole', async () => {
    const place = await folder();
    await mkdir(join(place, 'm.partial'));
    await writeFile(join(place, 'm.partial', 'precious'), 'x');
    await copied(`${join(place, 'm')}/`);
    expect([await readdir(place), await readdir(join(place, 'm.partial'))]).toEqual([['m', 'm.partial'], ['precious']]);
  });
});
