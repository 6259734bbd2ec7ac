import { cp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { ModelError } from '../../../src/errors.js';
import { readConfig } from '../../../src/models/qwen2_5_vl/architecture.js';
import { findWeights, lendWeights, readWeights } from '../../../src/models/vlm/weight-files.js';
import type { Place } from '../../../src/tensor/graph.js';
import type { Engine } from '../../../src/tensor/engine.js';
import { folder, tied, tiny } from './opened.js';

const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;

async function copied(from: string): Promise<string> {
  const dir = await folder();
  await cp(from, dir, { recursive: true });
  return dir;
}

/** What an engine is given. */
async function lent(
  dir: string,
): Promise<{ readonly places: ReadonlyMap<string, Place>; readonly tensors: ReadonlyMap<string, Float32Array> }> {
  let places: ReadonlyMap<string, Place> = new Map();
  const tensors = new Map<string, Float32Array>();
  const engine = {
    traits: { device: 'cpu', halves: false } as const,
    places: (_: string, given: ReadonlyMap<string, Place>) => Promise.resolve(void (places = given)),
    tensor: (_: string, name: string, values: Float32Array) => Promise.resolve(void tensors.set(name, values)),
  };
  await lendWeights(engine as Partial<Engine> as Engine, 'set', await findWeights(dir, await readConfig(dir)));
  return { places, tensors };
}

describe('findWeights refuses', () => {
  it.each([
    [
      'a shard that is cut off',
      (dir: string) => truncate(join(dir, shards[1]), 200_000),
      `${shards[1]}  tensor "`,
      'expected its bytes to end within the file',
    ],
    [
      'a missing shard',
      (dir: string) => rm(join(dir, shards[0])),
      `${shards[0]}  safetensors: `,
      'expected a file that can be read; got ENOENT',
    ],
    [
      'a shard without what the index says',
      (dir: string) => cp(join(dir, shards[0]), join(dir, shards[1])),
      `${shards[1]}  tensor "`,
      'expected it here, as',
    ],
  ])('%s', async (_, harm, where, what) => {
    const dir = await copied(tied);
    await harm(dir);
    await expect(readConfig(dir)).rejects.toThrow(what);
    const config = await readConfig(tied);
    const refused = findWeights(dir, config);
    await expect(refused).rejects.toThrow(ModelError);
    await expect(refused).rejects.toThrow(join(dir, where));
    await expect(refused).rejects.toThrow(what);
  });
});

describe('readWeights', () => {
  it('refuses more than one array holds, before any is read', async () => {
    const config = await readConfig(tiny);
    const files = await findWeights(tiny, config);
    const shapes = [{ name: 'large', sizes: { out: 7 * 2 ** 30, width: 1 } }];
    await expect(readWeights({ ...files, shapes })).rejects.toThrow(
      new ModelError(
        `${tiny}  weights: expected at most 4294967296 that learn; got 7516192768; way out: train an adapter, train: { lora: … }`,
      ),
    );
  });
});

describe('lendWeights', () => {
  it('leaves float32 where it lies, links followed', async () => {
    const dir = await copied(tiny);
    const blobs = await folder();
    await cp(join(dir, 'model.safetensors'), join(blobs, '0123'));
    await rm(join(dir, 'model.safetensors'));
    await symlink(join(blobs, '0123'), join(dir, 'model.safetensors'));
    const { places, tensors } = await lent(dir);
    const store = await readWeights(await findWeights(tiny, await readConfig(tiny)));
    expect([tensors.size, places.size]).toEqual([0, store.layout.entries.length]);
    const bytes = await readFile(join(blobs, '0123'));
    for (const { name, offset, length } of store.layout.entries) {
      const place = places.get(name) as Place;
      expect(place.file.endsWith('0123')).toBe(true);
      expect(
        Buffer.compare(
          bytes.subarray(place.offset, place.offset + 4 * length),
          Buffer.from(store.values.slice(offset, offset + length).buffer),
        ),
        name,
      ).toBe(0);
    }
  });

  it('widens halves one by one', async () => {
    const { places, tensors } = await lent(tied);
    const store = await readWeights(await findWeights(tied, await readConfig(tied)));
    expect([places.size, tensors.size]).toEqual([0, store.layout.entries.length]);
    for (const { name, offset, length } of store.layout.entries)
      expect(
        Buffer.compare(
          Buffer.from((tensors.get(name) as Float32Array).buffer),
          Buffer.from(store.values.slice(offset, offset + length).buffer),
        ),
        name,
      ).toBe(0);
  });

  it('reads files of another folder than the first', async () => {
    const [dir, elsewhere] = [await copied(tiny), await folder()];
    const own = await findWeights(tiny, await readConfig(tiny));
    await cp(join(dir, 'model.safetensors'), join(elsewhere, 'b'));
    await cp(join(dir, 'model.safetensors'), join(dir, 'a.safetensors'));
    await rm(join(dir, 'model.safetensors'));
    await symlink(join(elsewhere, 'b'), join(dir, 'b.safetensors'));
    const places = Object.fromEntries(
      [...own.names.values()].map((name) => [name, name.startsWith('visual.') ? 'a.safetensors' : 'b.safetensors']),
    );
    await writeFile(join(dir, 'model.safetensors.index.json'), JSON.stringify({ weight_map: places }));
    const given = await lent(dir);
    expect([...given.places.keys()].every((name) => name.startsWith('visual.'))).toBe(true);
    expect([...given.tensors.keys()].every((name) => !name.startsWith('visual.'))).toBe(true);
    expect(given.places.size + given.tensors.size).toBe(own.shapes.length);
  });
});
