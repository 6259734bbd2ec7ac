import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { ModelError } from '../../../src/errors.js';
import { folderTensors, openSafetensors, writeSafetensors, type StoredTensor } from '../../../src/io/safetensors.js';
import { asking, loss, lessons, prompts, settings, writing } from './lessons.js';
import { folder, open, tied, tiny, unversioned } from './opened.js';

describe('save', () => {
  it.each([
    ['flat names, one file', tiny],
    ['nested names, two files of bfloat16 written in float32, a tied head', tied],
  ])('keeps %s', async (_, from) => {
    const policy = await open({ save: 'float32' }, from);
    const rows = lessons(policy, 2).slice(0, 2);
    await policy.step((await policy.gradient({ loss, rows, temperature: 1 })).gradient, settings);
    const dir = join(await folder(), 'saved');
    await policy.save(dir);

    const [own, original] = [await openSafetensors(join(dir, 'model.safetensors')), await folderTensors(from)];
    expect(own.names.toSorted()).toEqual(original.names.toSorted());
    for (const name of own.names)
      expect([name, own.info(name).shape, own.info(name).dtype]).toEqual([name, original.info(name).shape, 'F32']);
    const others = (await readdir(from)).filter((file) => !file.includes('.safetensors'));
    expect((await readdir(dir)).toSorted()).toEqual([...others, 'model.safetensors'].toSorted());
    for (const file of others)
      expect(await readFile(join(dir, file), 'utf8')).toBe(
        (await readFile(join(from, file), 'utf8')).replace(/"bfloat16"/, '"float32"'),
      );

    const again = await open({}, dir);
    const [a, b] = [
      await policy.gradient({ loss, rows, temperature: 1 }),
      await again.gradient({ loss, rows, temperature: 1 }),
    ];
    expect(Buffer.compare(Buffer.from(a.gradient.buffer), Buffer.from(b.gradient.buffer))).toBe(0);
    expect(unversioned(await again.generate(asking(prompts(again).slice(0, 1), writing)))).toEqual(
      unversioned(await policy.generate(asking(prompts(policy).slice(0, 1), writing))),
    );
  });

  it('takes the place of an older checkpoint and leaves nothing beside it', async () => {
    const policy = await open();
    const dir = await folder();
    await cp(tied, join(dir, 'saved'), { recursive: true });
    await policy.save(join(dir, 'saved'));
    await policy.save(join(dir, 'saved'));
    expect(await readdir(dir)).toEqual(['saved']);
    expect((await readdir(join(dir, 'saved'))).filter((file) => file.includes('.safetensors'))).toEqual([
      'model.safetensors',
    ]);
  });
});

describe('a policy that learns nothing', () => {
  it.each([
    ['float32 out of its files', tiny, 1],
    ['two files of bfloat16, a copy a worker', tied, 2],
  ])('writes and scores as one that may: %s', async (_, from, workers) => {
    const [fixed, free] = [await open({ train: 'none', workers }, from), await open({}, from)];
    const rows = lessons(free, 2).slice(0, 2);
    expect(fixed.parameters).toBe(0);
    expect(await fixed.generate(asking(prompts(fixed), writing))).toEqual(
      await free.generate(asking(prompts(free), writing)),
    );
    expect(await fixed.referenceScores({ rows, temperature: 1 })).toEqual(
      await free.referenceScores({ rows, temperature: 1 }),
    );
  });

  it('refuses a gradient', async () => {
    const policy = await open({ train: 'none' });
    await expect(policy.gradient({ loss, rows: lessons(policy, 2).slice(0, 1), temperature: 1 })).rejects.toThrow(
      new ModelError(`${tiny}  train: expected weights that learn; got a policy opened with "none"`),
    );
  });
});

describe('openQwen refuses', () => {
  async function edited(change: (tensors: StoredTensor[]) => StoredTensor[]): Promise<string> {
    const dir = await folder();
    await cp(tiny, dir, { recursive: true });
    const from = await openSafetensors(join(tiny, 'model.safetensors'));
    const all = await Promise.all(
      from.names.map(async (name) => ({
        name,
        dtype: 'F32' as const,
        shape: from.info(name).shape,
        data: await from.read(name),
      })),
    );
    await writeSafetensors(join(dir, 'model.safetensors'), change(all), { format: 'pt' });
    return dir;
  }
  const norm = 'model.norm.weight';

  it('a checkpoint without a tensor', async () => {
    const dir = await edited((tensors) => tensors.filter(({ name }) => name !== norm));
    await expect(open({}, dir)).rejects.toThrow(
      new ModelError(`${dir}  ${norm}: expected a tensor of that name; got none`),
    );
  });

  it.each([
    ['bytes as bitsandbytes packs them', { dtype: 'U8', shape: [256] }],
    ['8-bit integers', { dtype: 'I8', shape: [256] }],
    ['8-bit floats', { dtype: 'F8_E4M3', shape: [256] }],
    ['32-bit words of small integers', { dtype: 'I32', shape: [64] }],
  ])('%s for a weight', async (_, { dtype, shape }) => {
    const dir = await edited((tensors) => tensors);
    const file = join(dir, 'model.safetensors');
    const bytes = await readFile(file);
    const length = Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<
      string,
      { data_offsets: [number, number] }
    >;
    const [begin] = header[norm].data_offsets;
    const text = Buffer.from(
      JSON.stringify({
        ...header,
        [norm]: { dtype, shape, data_offsets: [begin, begin + shape[0] * (dtype === 'I32' ? 4 : 1)] },
      }),
    );
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(text.length));
    await writeFile(file, Buffer.concat([size, text, bytes.subarray(8 + length)]));
    await expect(open({}, dir)).rejects.toThrow(
      new ModelError(`${file}  ${norm}: expected no quantization: F32, F16, BF16; got ${dtype}`),
    );
  });

  it('a tensor of another shape', async () => {
    const dir = await edited((tensors) => tensors.map((one) => (one.name === norm ? { ...one, shape: [32, 2] } : one)));
    await expect(open({}, dir)).rejects.toThrow(
      new ModelError(`${join(dir, 'model.safetensors')}  ${norm}: expected shape [64]; got [32, 2]`),
    );
  });
});

describe('release', () => {
  it('waits for what runs, and refuses what waits or comes later', async () => {
    const policy = await open();
    const asked = prompts(policy).slice(0, 1);
    const expected = await policy.generate(asking(asked, writing));
    const running = policy.generate(asking(asked, writing));
    const waiting = policy.generate(asking([...asked, ...asked], writing)).catch((error: unknown) => error);
    await setImmediate();
    const released = policy.release();
    expect(await running).toEqual(expected);
    expect(await waiting).toMatchObject({ message: expect.stringContaining('release') });
    await released;
    await expect(policy.generate(asking(asked, writing))).rejects.toThrow('release');
    await policy.release();
  });
});
