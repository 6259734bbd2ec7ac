import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { tableFromIPC } from 'apache-arrow';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { embeddedReference } from '../../../src/io/embedded.js';
import { decodeImage } from '../../../src/io/image.js';
import { rowSchema } from '../../../src/io/arrow/columns.js';
import { openShards, readRows } from '../../../src/io/arrow/shard.js';
import { drawScene, SCENE_SIDE } from '../../../src/io/scenes.js';
import type { ImageSource, Row, SceneKey } from '../../../src/records.js';

const schema = rowSchema([], {}, { images: true });
const scene: SceneKey = { kind: 'main', seed: 7, index: 3, rule: 'any' };
const size = { width: 4, height: 3 };
const row = (id: string, image: ImageSource): Row => ({ id, image, task: 'foreground', frame: size, original: size });

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'segr1-pictures-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function written(rows: readonly Row[]): Promise<{ bytes: Uint8Array | null; path: string | null }[]> {
  const shards = await openShards(join(folder, 'rows'), schema);
  for (const one of rows) await shards.append(one);
  await shards.close();
  const table = tableFromIPC(await readFile(join(folder, 'rows/data-00000-of-00001.arrow')));
  return [...(table.getChild('image') ?? [])].map((one) => one.toJSON());
}

describe('images in rows', () => {
  it('are the bytes of the file, those of a table, or a PNG of the scene, beside the path', async () => {
    const path = join(folder, 'größe.jpg');
    const bytes = Buffer.from('what the file has');
    await writeFile(path, bytes);
    const table = join(folder, 't.tsv');
    await writeFile(table, `0\t${bytes.toString('base64')}\n`);
    const inTable = embeddedReference(table, { start: 2, end: 2 + bytes.toString('base64').length });
    const rows = [row('a', { path }), row('b', { path: inTable }), row('c', { scene })];
    const [first, second, third] = await written(rows);
    expect(first).toEqual({ bytes: new Uint8Array(bytes), path });
    expect(second).toEqual({ bytes: new Uint8Array(bytes), path: inTable });
    expect(third.path).toBeNull();
    const { data } = await decodeImage(third.bytes ?? new Uint8Array(), 'scene');
    expect(Buffer.compare(data, drawScene(scene, SCENE_SIDE).image.data)).toBe(0);
    const read: Row[] = [];
    for await (const one of readRows(folder)) read.push(one);
    expect(read).toStrictEqual(rows);
  });

  it('are a feature of datasets', () => {
    const { features } = JSON.parse(schema.metadata.get('huggingface') ?? '').info;
    // datasets 5.2.0: Features({"image": Image()}).to_dict()
    expect(features.image).toEqual({ _type: 'Image' });
  });

  it('may lack in a marked row, and in no other', async () => {
    const path = join(folder, 'none.png');
    const skipped = { stage: 'load', reason: 'no file' };
    expect(await written([{ ...row('a', { path }), skipped }])).toEqual([{ bytes: null, path }]);
    const shards = await openShards(join(folder, 'more'), schema);
    await expect(shards.append(row('e0/1/b', { path }))).rejects.toThrow(
      'row e0/1/b  image: expected a file that can be read; got ENOENT',
    );
    await expect(shards.close()).rejects.toThrow('e0/1/b');
  });

  it('fill a batch by their bytes before there are many rows', async () => {
    const path = join(folder, 'large.png');
    await writeFile(path, Buffer.alloc(40_000_000));
    const shards = await openShards(join(folder, 'rows'), schema, { shardMegabytes: 1000 });
    for (const id of ['a', 'b', 'c']) await shards.append(row(id, { path }));
    await shards.close();
    const { batches } = tableFromIPC(await readFile(join(folder, 'rows/data-00000-of-00001.arrow')));
    expect(batches.map(({ numRows }) => numRows)).toEqual([2, 1]);
  });
});
