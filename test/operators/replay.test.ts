import { join } from 'node:path';

import { lastValueFrom, tap, toArray } from 'rxjs';
import { beforeAll, describe, expect, it } from 'vitest';

import { rowSchema } from '../../src/io/arrow/columns.js';
import { encodeMask } from '../../src/io/mask.js';
import { column } from '../../src/io/arrow/own-columns.js';
import { openShards } from '../../src/io/arrow/shard.js';
import { replay, replayable, replayedColumns, tornColumn } from '../../src/operators/replay.js';
import { credits } from '../../src/streams/credits.js';
import type { Row } from '../../src/records.js';
import { folder } from '../pipelines/files.js';
import { marked, sample } from './stub-policy.js';

const frame = { width: 4, height: 4 };
const fitted = {
  prompt: { frame, objects: [{ points: [{ x: 1, y: 2, label: 1 as const }] }] },
  ious: [0.5],
  text: 'there',
};
const row = (name: string): Row => ({
  ...sample(`e0/5/${name}`),
  truth: encodeMask(new Uint8Array(16).fill(1), frame),
  fitted,
  step: 3,
  problem: 'q',
  thinking: 't',
  solution: 's',
});
const { fitted: _, ...unfitted } = row('c');

let run: string;
beforeAll(async () => {
  run = folder().path;
  const shards = await openShards(`${run}/rows`, rowSchema([]));
  for (const each of [row('a'), marked('e0/6/b'), unfitted, row('d')]) await shards.append(each);
  await shards.close();
});

/** All that it gives, with a window of one row. */
async function replayed(options: object, seed = 1): Promise<Row[]> {
  const window = credits(1);
  return lastValueFrom(
    replay({ seed, window }, { rows: run, ...options }).pipe(
      tap(({ id }) => window.give(id)),
      toArray(),
    ),
  );
}

describe('replay', () => {
  it('gives columns of one’s own again where they are asked for, with their types', async () => {
    const own = folder().path;
    const difficulty = column.float('how hard it is');
    const shards = await openShards(`${own}/rows`, rowSchema([], {}, { columns: { difficulty }, ignore: true }));
    await shards.append({ ...row('a'), difficulty: 0.7 } as Row);
    await shards.append(row('b'));
    await shards.close();
    const rows = await replayed({ rows: own, shuffle: false, columns: ['truth', 'difficulty'] });
    expect(rows[0]).toMatchObject({ difficulty: 0.7 });
    expect(rows[1]?.skipped?.reason).toBe('row: expected difficulty; got none');
    expect((await replayed({ rows: own, shuffle: false }))[0]).not.toHaveProperty('difficulty');
    const said = replayedColumns({ rows: [run, own], columns: ['fitted', 'difficulty'] });
    expect(said.known).toEqual(['id', 'image', 'task', 'frame', 'original', 'ignore', 'fitted']);
    expect(Object.entries(said.own).map(([name, { kind, doc }]) => [name, kind, doc])).toEqual([
      ['difficulty', 'float', 'how hard it is'],
    ]);
    expect(replayedColumns({ rows: folder().path })).toMatchObject({ own: {} });
  });

  it('takes rows of an earlier version of the columns beside those of today', async () => {
    const versions = ['v1', 'v2'].map((version) => join(import.meta.dirname, '../fixtures/rows', version, 'whole'));
    const rows = await replayed({ rows: versions, shuffle: false, columns: ['truth', 'difficulty'] });
    const half = rows.length / 2;
    const stored = ({ id: _id, set: _set, ...own }: Row): object => own;
    expect(rows.slice(0, half).map(stored)).toStrictEqual(rows.slice(half).map(stored));
    expect(rows[1]).toMatchObject({
      task: 'pick',
      image: { scene: { index: 1 } },
      fitted: { text: expect.any(String) },
    });
    expect(rows.map(({ set }) => set).filter((set) => set !== undefined)).toEqual(['refcoco/val']);
  });

  it('refuses a custom column that is of two types', async () => {
    const folders = await Promise.all(
      [column.float('a number'), column.text('a text')].map(async (difficulty) => {
        const own = folder().path;
        const shards = await openShards(`${own}/rows`, rowSchema([], {}, { columns: { difficulty } }));
        await shards.close();
        return own;
      }),
    );
    const [first, second] = folders;
    expect(tornColumn({ rows: folders, columns: ['difficulty'] })).toBe(
      `expected one type of difficulty in all rows; got "float" in ${first}, "text" in ${second}`,
    );
    expect(tornColumn({ rows: folders, columns: ['truth'] })).toBeUndefined();
    expect(tornColumn({ rows: [first, first], columns: ['difficulty'] })).toBeUndefined();
  });

  it('gives the rows of a run as they were before an answer, and marks those that lack what is asked for', async () => {
    const rows = await replayed({ shuffle: false });
    const { step: __, ...before } = row('a');
    expect(rows[0]).toEqual({ ...before, id: 'e0/0/a' });
    expect(rows.map(({ id, skipped }) => [id, skipped?.stage, skipped?.reason])).toEqual([
      ['e0/0/a', undefined, undefined],
      ['e0/1/b', 'replay', 'marked in its own run'],
      ['e0/2/c', 'replay', 'row: expected fitted; got none'],
      ['e0/3/d', undefined, undefined],
    ]);
    expect((await replayed({ shuffle: false, columns: ['truth'] }))[2]?.skipped).toBeUndefined();
  });

  it('goes through them again, each epoch in an order of its own that the seed decides', async () => {
    const ids = async (seed: number) => (await replayed({ epochs: 4 }, seed)).map(({ id }) => id);
    const once = await ids(1);
    expect(new Set(once).size).toBe(16);
    expect(await ids(1)).toEqual(once);
    const orders = [0, 1, 2, 3].map((epoch) =>
      once
        .slice(4 * epoch, 4 * epoch + 4)
        .map((id) => id.slice(3))
        .join(' '),
    );
    expect(new Set(orders).size).toBeGreaterThan(1);
  });

  it('takes the folder of the rows as well, or several, and says where there are none', async () => {
    expect(await replayed({ rows: `${run}/rows` })).toHaveLength(4);
    expect((await replayed({ rows: [run, `${run}/rows`], shuffle: false })).map(({ id }) => id.slice(3))).toEqual([
      '0/a',
      '1/b',
      '2/c',
      '3/d',
      '4/a',
      '5/b',
      '6/c',
      '7/d',
    ]);
    await expect(replayable({ rows: folder().path })).rejects.toThrow(
      'rows: expected a manifest of sealed shards; got',
    );
  });
});
