import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import type * as Files from 'node:fs/promises';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { UsageError } from '../../../src/errors.js';
import { rowSchema } from '../../../src/io/arrow/columns.js';
import { readManifest, writeManifest } from '../../../src/io/manifest.js';
import { openShards, readRows, recoverRows, type Shards } from '../../../src/io/arrow/shard.js';
import type { Row } from '../../../src/records.js';

const disk = vi.hoisted(() => ({ full: false }));
vi.mock('node:fs/promises', async (original) => {
  const fs = await original<typeof Files>();
  const open: typeof fs.open = async (...args) => {
    const handle = await fs.open(...args);
    const write = handle.write.bind(handle);
    const guarded = (...chunk: Parameters<typeof write>) =>
      disk.full ? Promise.reject(new Error('ENOSPC: no space left on device, write')) : write(...chunk);
    return Object.assign(handle, { write: guarded });
  };
  return { ...fs, open };
});

const schema = rowSchema(['iou'], { run: 'test', seed: '7', frame: '4x3' });
const row = (i: number): Row => ({
  id: `0/${i}/a`,
  image: { path: `${i}.png` },
  task: 'segment',
  frame: { width: 4, height: 3 },
  original: { width: 8, height: 6 },
  ...(i % 3 === 0 && { skipped: { stage: 'load', reason: 'truncated' } }),
  ...(i % 3 === 1 && {
    completions: [{ text: 'größer 猫', tokens: [i], logProbs: [-0.5], finish: 'stop' }],
    policyVersion: i,
  }),
  ...(i % 3 === 2 && {
    masks: [{ width: 4, height: 3, counts: [5, 2, 5] }, null],
    rewards: { total: [NaN, 1], byName: { iou: [NaN, 1] } },
  }),
});
const rows = (n: number, start = 0): Row[] => Array.from({ length: n }, (_, i) => row(start + i));
const all = async (source: AsyncIterable<Row>): Promise<Row[]> => {
  const got = [];
  for await (const one of source) got.push(one);
  return got;
};
async function append(shards: Shards, some: readonly Row[]): Promise<void> {
  for (const one of some) await shards.append(one);
}

let folder = '';
/** Writers that a test left open as a killed process would. */
const left: Shards[] = [];
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'segr1-shards-')), 'rows');
});
afterEach(async () => {
  disk.full = false;
  await rm(join(folder, '..'), { recursive: true, force: true });
  await Promise.allSettled(left.splice(0).map((shards) => shards.close()));
});
const names = async (): Promise<string[]> => (await readdir(folder)).sort();

describe('openShards', () => {
  it('gives rows back in order, cut into batches, with names and files as datasets wants them', async () => {
    const shards = await openShards(folder, schema, { rowsPerBatch: 10 });
    await append(shards, rows(25));
    await shards.close();
    expect(await names()).toEqual(['data-00000-of-00001.arrow', 'dataset_info.json', 'manifest.json', 'state.json']);
    expect(await all(readRows(folder))).toStrictEqual(rows(25));

    const bytes = await readFile(join(folder, 'data-00000-of-00001.arrow'));
    const table = tableFromIPC(bytes);
    expect(table.batches.map(({ numRows }) => numRows)).toEqual([10, 10, 5]);
    expect(table.schema.metadata.get('seed')).toBe('7');
    expect([...bytes.subarray(-8)]).toEqual([255, 255, 255, 255, 0, 0, 0, 0]);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    expect(await readManifest(folder)).toEqual({
      shards: [{ file: 'data-00000-of-00001.arrow', rows: 25, bytes: bytes.length, sha256 }],
      open: null,
    });

    const state = JSON.parse(await readFile(join(folder, 'state.json'), 'utf8'));
    expect(state).toMatchObject({
      _data_files: [{ filename: 'data-00000-of-00001.arrow' }],
      _format_kwargs: {},
      _split: null,
    });
    const { features } = JSON.parse(await readFile(join(folder, 'dataset_info.json'), 'utf8'));
    expect(Object.keys(features)).toEqual(schema.fields.map(({ name }) => name));
  });

  it('seals a shard before it grows over its size, and lists it at once', async () => {
    const shards = await openShards(folder, schema, { rowsPerBatch: 5, shardMegabytes: 0.03 });
    await append(shards, rows(40));
    const { shards: sealed, open } = await readManifest(folder);
    expect(sealed.length).toBeGreaterThan(1);
    expect(open).toBe(`shard-0000${sealed.length}.arrow`);
    expect(await names()).toEqual(['manifest.json', ...sealed.map(({ file }) => file), `${open}.partial`]);
    await shards.close();
    const { shards: named } = await readManifest(folder);
    expect(named.every(({ bytes }) => bytes <= 30_008)).toBe(true);
    expect(named.map(({ file }) => file)).toEqual(named.map((_, i) => `data-0000${i}-of-0000${named.length}.arrow`));
    expect(await all(readRows(folder))).toStrictEqual(rows(40));
  });

  it('leaves one empty shard where no row came, and closes twice', async () => {
    const shards = await openShards(folder, schema);
    await Promise.all([shards.close(), shards.close()]);
    expect((await readManifest(folder)).shards).toMatchObject([{ file: 'data-00000-of-00001.arrow', rows: 0 }]);
    expect(await all(readRows(folder))).toEqual([]);
    await expect(shards.append(row(0))).rejects.toThrow(
      `${folder}  rows: expected an open folder; got row 0/0/a after it was closed`,
    );
  });

  it('keeps the order of rows that are appended without waiting', async () => {
    const shards = await openShards(folder, schema, { rowsPerBatch: 3 });
    await Promise.all(rows(20).map((one) => shards.append(one)));
    await shards.close();
    expect((await all(readRows(folder))).map(({ id }) => id)).toEqual(rows(20).map(({ id }) => id));
  });

  it('refuses a row that its columns cannot hold, and goes on', async () => {
    const shards = await openShards(folder, schema);
    await expect(shards.append({ ...row(0), step: 0.5 })).rejects.toThrow(
      'row 0/0/a  a column of 32-bit integers: expected one; got 0.5',
    );
    await shards.append(row(1));
    await shards.close();
    expect(await all(readRows(folder))).toStrictEqual([row(1)]);
  });

  it.each(['state.json', 'dataset_info.json'])(
    'refuses a folder with a %s of something else, and leaves it',
    async (name) => {
      await mkdir(folder);
      await writeFile(join(folder, name), 'mine');
      await expect(openShards(folder, schema)).rejects.toThrow(`rows: expected a folder without any; got ${name}`);
      expect(await readFile(join(folder, name), 'utf8')).toBe('mine');
    },
  );

  it('refuses a folder that holds rows, or the beginning of some', async () => {
    const shards = await openShards(folder, schema);
    await expect(openShards(folder, schema)).rejects.toThrow(UsageError);
    await shards.close();
    await expect(openShards(folder, schema)).rejects.toThrow(
      `${folder}  rows: expected a folder without any; got data-00000-of-00001.arrow`,
    );
  });
});

describe('a disk that fails', () => {
  it('tells of a full disk in every call from then on, and leaves the shard partial', async () => {
    const shards = await openShards(folder, schema, { rowsPerBatch: 2 });
    await append(shards, rows(3));
    disk.full = true;
    const told = `${join(folder, 'shard-00000.arrow.partial')}  writing rows: expected a folder with room for them; got ENOSPC: no space left`;
    await expect(shards.append(row(3))).rejects.toThrow(told);
    disk.full = false;
    await expect(shards.append(row(4))).rejects.toThrow(told);
    await expect(shards.close()).rejects.toThrow(told);
    await expect(shards.close()).rejects.toThrow(told);
    expect(await names()).toEqual(['manifest.json', 'shard-00000.arrow.partial']);
    expect(await all(recoverRows(folder))).toStrictEqual(rows(2));
  });

  it('tells of a folder that was deleted', async () => {
    const shards = await openShards(folder, schema, { rowsPerBatch: 2 });
    await append(shards, rows(2));
    await rm(folder, { recursive: true });
    await expect(append(shards, rows(2, 2))).rejects.toThrow('got a file that was deleted');
    await expect(shards.close()).rejects.toThrow(folder);
  });

  it('tells of a folder that was deleted before anything was written', async () => {
    const shards = await openShards(folder, schema);
    await shards.append(row(0));
    await rm(folder, { recursive: true });
    await expect(shards.close()).rejects.toThrow(
      'shard-00000.arrow.partial  writing rows: expected a folder with room for them; got ENOENT',
    );
  });
});

describe('a run that was cut off', () => {
  /** A folder as a killed process leaves it: `n` rows on disk, the last ones in a partial shard. */
  async function killed(n: number): Promise<void> {
    const shards = await openShards(folder, schema, { rowsPerBatch: 5, shardMegabytes: 0.03 });
    await append(shards, rows(n));
    expect(await shards.flush()).toBe(n);
    const { open } = await readManifest(folder);
    await copyFile(join(folder, `${open}.partial`), join(folder, 'kept.arrow'));
    left.push(shards);
    await append(shards, rows(1, n));
    await rename(join(folder, 'kept.arrow'), join(folder, `${open}.partial`));
  }

  it('keeps what was flushed', async () => {
    await killed(33);
    const { shards: sealed } = await readManifest(folder);
    expect(await all(readRows(folder))).toHaveLength(sealed.reduce((sum, { rows: n }) => sum + n, 0));
    expect(await all(recoverRows(folder))).toStrictEqual(rows(33));
  });

  it.each([33, 32, 17, 4, 0])('goes on behind its first %i rows', async (keep) => {
    await killed(33);
    const before = (await readManifest(folder)).shards;
    const shards = await openShards(folder, schema, { rowsPerBatch: 5, shardMegabytes: 0.03 }, keep);
    expect(await shards.flush()).toBe(keep);
    expect(await all(recoverRows(folder))).toStrictEqual(rows(keep));
    await append(shards, rows(40 - keep, keep));
    await shards.close();
    expect(await all(readRows(folder))).toStrictEqual(rows(40));
    const after = (await readManifest(folder)).shards;
    if (keep > 30)
      expect(after.slice(0, before.length).map(({ sha256 }) => sha256)).toEqual(before.map(({ sha256 }) => sha256));
    const listed = after.map(({ file }) => file);
    expect((await names()).filter((name) => /^(data|shard)-/.test(name))).toEqual(listed);
  });

  it('goes on behind a run that was closed', async () => {
    const first = await openShards(folder, schema, { rowsPerBatch: 5, shardMegabytes: 0.03 });
    await append(first, rows(30));
    await first.close();
    const second = await openShards(folder, schema, {}, 30);
    expect(existsSync(join(folder, 'state.json'))).toBe(false);
    await append(second, rows(3, 30));
    await second.close();
    expect(await all(readRows(folder))).toStrictEqual(rows(33));
    expect((await names()).filter((name) => name.startsWith('data-'))).toHaveLength(
      (await readManifest(folder)).shards.length,
    );
  });

  it.each([
    ['whole shards', 30],
    ['a part of one', 14],
  ])('refuses to keep %s of what is damaged, and leaves the folder as it was', async (_, keep) => {
    const first = await openShards(folder, schema, { rowsPerBatch: 5 });
    await append(first, rows(30));
    await first.close();
    const path = join(folder, 'data-00000-of-00001.arrow');
    const bytes = await readFile(path);
    bytes[bytes.length - 100] ^= 16;
    await writeFile(path, bytes);
    await expect(openShards(folder, schema, {}, keep)).rejects.toThrow(`${path}  SHA-256: expected`);
    await truncate(path, 500);
    await expect(openShards(folder, schema, {}, keep)).rejects.toThrow(
      `${path}  bytes: expected ${bytes.length} as the manifest has it; got 500`,
    );
    expect(await names()).toEqual(
      expect.arrayContaining(['data-00000-of-00001.arrow', 'dataset_info.json', 'state.json']),
    );
  });

  it('refuses to keep more rows than there are, and leaves the folder as it was', async () => {
    await killed(33);
    await expect(openShards(folder, schema, {}, 40)).rejects.toThrow(`${folder}  rows to keep: expected`);
    expect(await all(recoverRows(folder))).toStrictEqual(rows(33));
  });
});

describe('readRows', () => {
  async function written(): Promise<string> {
    const shards = await openShards(folder, schema, { rowsPerBatch: 5 });
    await append(shards, rows(20));
    await shards.close();
    return join(folder, 'data-00000-of-00001.arrow');
  }

  it('tells of a shard that is shorter than the manifest says, however cleanly it ends', async () => {
    const path = await written();
    const bytes = await readFile(path);
    await writeFile(path, bytes.subarray(0, -8));
    await expect(all(readRows(folder))).rejects.toThrow(
      `${path}  bytes: expected ${bytes.length} as the manifest has it; got ${bytes.length - 8}`,
    );
  });

  it('tells of a shard that changed, and of one that is gone', async () => {
    const path = await written();
    const bytes = await readFile(path);
    const at = bytes.lastIndexOf('segment');
    bytes[at] = 'S'.charCodeAt(0);
    await writeFile(path, bytes);
    await expect(all(readRows(folder))).rejects.toThrow(`${path}  SHA-256: expected`);
    await rm(path);
    await expect(all(readRows(folder))).rejects.toThrow(
      `${path}  a shard: expected ${bytes.length} bytes as the manifest has it; got ENOENT`,
    );
  });

  it('tells of a folder without a manifest', async () => {
    await expect(all(readRows(folder))).rejects.toThrow(
      `${join(folder, 'manifest.json')}  rows: expected a manifest of sealed shards; got ENOENT`,
    );
  });

  /** Puts a 32-bit number into the shard, and lets the manifest fit. */
  async function lie(path: string, good: Buffer, at: number, value: number): Promise<void> {
    const bytes = Buffer.from(good);
    bytes.writeInt32LE(value, at);
    await writeFile(path, bytes);
    const { shards, open } = await readManifest(folder);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    await writeManifest(folder, { shards: [{ ...shards[0], sha256 }], open });
  }

  it('refuses a shard whose lengths lie, where the manifest fits', async () => {
    const path = await written();
    const good = await readFile(path);
    const most = 0x40000000;
    // A prefix of 8 bytes, then the table of the schema.
    await lie(path, good, 4, most);
    await expect(all(readRows(folder))).rejects.toThrow(
      `${path}  a shard: expected an Arrow stream; got at byte 0 metadata of ${most} bytes where ${good.length - 8} are left`,
    );
    // The offsets of the first column, ids of 5 letters: 0, 5, 10 …
    const offsets = good.indexOf(Buffer.from(Int32Array.of(0, 5, 10).buffer));
    await lie(path, good, offsets + 4, most);
    await expect(all(readRows(folder))).rejects.toThrow('got a column "id" with fewer values than its length');
    // Wherever it stands, it is rows, or a word for what is wrong.
    const got = new Set<string>();
    for (let at = 0; at + 4 <= good.length; at += 4 * 211) {
      await lie(path, good, at, most);
      got.add(
        await all(readRows(folder)).then(
          () => 'rows',
          (error: unknown) => (error as Error).name,
        ),
      );
    }
    expect([...got].toSorted()).toEqual(['DataError', 'rows']);
  });

  it('lets go of its file when a reader stops early', async () => {
    const path = await written();
    for await (const one of readRows(folder)) {
      expect(one).toStrictEqual(row(0));
      break;
    }
    expect((await stat(path)).nlink).toBe(1);
  });
});
