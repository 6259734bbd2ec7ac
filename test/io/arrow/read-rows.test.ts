import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest';

import { DataError, UsageError } from '../../../src/errors.js';
import { rowSchema, type StoredRow } from '../../../src/io/arrow/columns.js';
import { column } from '../../../src/io/arrow/own-columns.js';
import { openShards, readRows, recoverRows } from '../../../src/io/arrow/shard.js';
import type { Box, Row } from '../../../src/records.js';
import { metadata, parts, rowsOf, shape } from '../../fixtures/rows/rows.mjs';

interface Own {
  readonly difficulty?: number;
  readonly words?: readonly (readonly string[])[];
}

const FIXTURES = join(import.meta.dirname, '../../fixtures/rows');
const rows = rowsOf(2);
const schema = rowSchema(parts, metadata, shape(column));
const V2 = join(FIXTURES, 'v2/whole');

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const got = [];
  for await (const one of source) got.push(one);
  return got;
}
/** What came before the failure, and the failure. */
async function upTo(source: AsyncIterable<unknown>): Promise<{ readonly got: unknown[]; readonly error: unknown }> {
  const got: unknown[] = [];
  try {
    for await (const one of source) got.push(one);
  } catch (error) {
    return { got, error };
  }
  return { got, error: undefined };
}

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'segr1-read-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('the columns of readRows', () => {
  it('are what the rows have, and all of their type', async () => {
    const read = readRows(V2, { columns: ['id', 'rewards', 'truthBox'] });
    const got = await all(read);
    expectTypeOf<keyof (typeof got)[0]>().toEqualTypeOf<'id' | 'rewards' | 'truthBox'>();
    expectTypeOf(got[0].truthBox).toEqualTypeOf<Box | undefined>();
    // @ts-expect-error not asked for
    expect(got[0].task).toBeUndefined();
    expect(got).toStrictEqual([
      { id: rows[0].id },
      { id: rows[1].id, truthBox: [0, 0, 0, 3] },
      { id: rows[2].id, rewards: rows[2].rewards, truthBox: [1, 1, 2, 2] },
      { id: rows[3].id },
      { id: rows[4].id },
    ]);
  });

  it('may be custom ones, and one of two that share an entry', async () => {
    const got = await all(readRows<Own, 'difficulty' | 'correct'>(V2, { columns: ['difficulty', 'correct'] }));
    expectTypeOf(got).toEqualTypeOf<Pick<StoredRow & Own, 'difficulty' | 'correct'>[]>();
    expect(got).toStrictEqual([{}, {}, {}, { difficulty: 0.1, correct: 0 }, {}]);
  });

  it('are all that stages added, where none are named', () => {
    expectTypeOf(readRows(V2)).toEqualTypeOf<AsyncGenerator<Row, void, undefined>>();
    expectTypeOf(readRows<Own>(V2)).toEqualTypeOf<AsyncGenerator<Row & Own, void, undefined>>();
  });

  it.each([
    ['truth_area', 'truthArea'],
    ['reward', 'rewards'],
    ['Prompts', 'prompts'],
    ['dificulty', 'difficulty'],
  ])('are refused before any row where there is none: %s', async (name, near) => {
    const read = upTo(readRows(V2, { columns: ['id', name as 'id'] }));
    expect((await read).got).toEqual([]);
    expect((await read).error).toBeInstanceOf(UsageError);
    expect(String((await read).error)).toMatch(
      new RegExp(`columns: expected a column that rows have; got "${name}"; known: id, .*nearest: ([^,]+, )*${near}`),
    );
  });

  it('are not decoded where nobody asks for them', async () => {
    const bytes = await readFile(join(FIXTURES, 'v1/whole/data-00000-of-00001.arrow'));
    // A prompt of version 1 is text; this one is no JSON any more.
    bytes.write('!', bytes.indexOf('{"frame":{"width":6,"height":4},"objects":[{"box":[1,1'));
    const path = join(folder, 'damaged.arrow');
    await writeFile(path, bytes);
    expect(await all(readRows(path, { columns: ['id', 'rewards'] }))).toHaveLength(5);
    expect(await all(readRows(path, { where: ({ task }) => task !== 'referring' }))).toHaveLength(4);
    await expect(all(readRows(path, { columns: ['prompts'] }))).rejects.toThrow(
      `${path}  row ${rows[2].id}  "!\\"frame`,
    );
  });
});

describe('the condition of readRows', () => {
  it('sees what is stored of a row, custom columns too', async () => {
    const ids = async (where: (row: StoredRow & Own) => boolean): Promise<unknown[]> =>
      (await all(readRows<Own, 'id'>(V2, { columns: ['id'], where }))).map(({ id }) =>
        rows.findIndex((one) => one.id === id),
      );
    expect(await ids(({ status }) => status === 'skipped')).toEqual([4]);
    expect(await ids(({ truthArea = 0, truthAtEdge }) => truthArea > 0 && !truthAtEdge)).toEqual([2]);
    expect(await ids(({ rewards }) => rewards?.byName['iou']?.[0] === 0.5)).toEqual([2]);
    expect(await ids(({ parseReasons }) => parseReasons?.includes('no-box') ?? false)).toEqual([2]);
    expect(await ids(({ difficulty }) => difficulty !== undefined)).toEqual([3]);
    expect(await ids((row) => 'answer' in row && row.correct === 0)).toEqual([3]);
    expect(await ids(() => false)).toEqual([]);
  });

  it('is told of a column that rows do not have', async () => {
    const where = (row: object): boolean => (row as { truth_area: number }).truth_area > 0;
    await expect(all(readRows(V2, { where }))).rejects.toThrow(
      /^where: expected a column that rows have; got "truth_area"; known: .*nearest: truthArea/,
    );
  });

  it('leaves rows as they are', async () => {
    expect(await all(readRows(V2, { where: ({ id }) => id === rows[2].id }))).toStrictEqual([rows[2]]);
  });
});

describe('what readRows is given', () => {
  it('is a run, its rows, or a shard', async () => {
    await cp(V2, join(folder, 'rows'), { recursive: true });
    for (const from of [folder, join(folder, 'rows'), join(folder, 'rows/data-00000-of-00001.arrow')])
      expect(await all(readRows(from))).toStrictEqual(rows);
    expect(await all(recoverRows(folder))).toStrictEqual(rows);
  });

  it('may be a shard that is being written, up to its last whole batch', async () => {
    const partial = join(folder, 'shard-00002.arrow.partial');
    await cp(join(FIXTURES, 'v2/open/shard-00002.arrow.partial'), partial);
    expect(await all(readRows(partial))).toStrictEqual([rows[3]]);
    const bytes = await readFile(partial);
    await writeFile(partial, bytes.subarray(0, -1));
    expect(await all(readRows(partial))).toEqual([]);
  });

  it('is checked against its manifest where that names it', async () => {
    await cp(V2, join(folder, 'rows'), { recursive: true });
    const path = join(folder, 'rows/data-00000-of-00001.arrow');
    const bytes = await readFile(path);
    await writeFile(path, bytes.subarray(0, -8));
    await expect(all(readRows(path))).rejects.toThrow(
      `${path}  bytes: expected ${bytes.length} as the manifest has it; got ${bytes.length - 8}`,
    );
  });

  it('says so wherever a shard is cut, after the whole batches before that', async () => {
    const shards = await openShards(join(folder, 'rows'), schema, { rowsPerBatch: 2 });
    for (const row of rows) await shards.append(row);
    await shards.close();
    const bytes = await readFile(join(folder, 'rows/data-00000-of-00001.arrow'));
    await mkdir(join(folder, 'alone'));
    const path = join(folder, 'alone/cut.arrow');
    await writeFile(path, bytes);
    expect(await all(readRows(path))).toStrictEqual(rows);
    const seen = new Set<number>();
    // Messages end where 8 divides; the last is the mark at the end.
    const cuts = Array.from({ length: Math.floor(bytes.length / 1000) }, (_, i) => 1000 * i + (i % 2));
    for (const length of [...cuts, bytes.length - 9, bytes.length - 8, bytes.length - 1]) {
      await writeFile(path, bytes.subarray(0, length));
      const { got, error } = await upTo(readRows(path, { columns: ['id'] }));
      expect([length, error]).toEqual([length, expect.any(DataError)]);
      expect((error as Error).message).toContain(`${path}  a shard: expected`);
      expect(got).toEqual(rows.slice(0, got.length).map(({ id }) => ({ id })));
      seen.add(got.length);
    }
    expect([...seen].toSorted((a, b) => a - b)).toEqual([0, 2, 4, 5]);
  });

  it('names the folder where nothing is', async () => {
    await expect(all(readRows(join(folder, 'none')))).rejects.toThrow(
      `${join(folder, 'none/manifest.json')}  rows: expected a manifest of sealed shards; got ENOENT`,
    );
  });
});
