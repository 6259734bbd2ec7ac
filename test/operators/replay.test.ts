import { lastValueFrom, tap, toArray } from 'rxjs';
import { beforeAll, describe, expect, it } from 'vitest';

import { rowSchema } from '../../src/io/arrow/columns.js';
import { encodeMask } from '../../src/io/mask.js';
import { column } from '../../src/io/arrow/own-columns.js';
import { openShards } from '../../src/io/arrow/shard.js';
import { replay, replayable, replayedColumns } from '../../src/operators/replay.js';
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
    replay({ rows: run, ...options }, seed, window).pipe(
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
