import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { tableFromIPC } from 'apache-arrow';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { rowSchema, SCHEMA_VERSION, type Derived } from '../../../src/io/arrow/columns.js';
import { describeColumns, typeName } from '../../../src/io/arrow/describe.js';
import { column } from '../../../src/io/arrow/own-columns.js';
import { openShards, readRows, recoverRows } from '../../../src/io/arrow/shard.js';
import { readManifest, writeManifest } from '../../../src/io/manifest.js';
import { UsageError } from '../../../src/errors.js';
import { replayable } from '../../../src/operators/replay.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import { resumption } from '../../../src/pipelines/run/resume.js';
import { RunFolder } from '../../../src/pipelines/store/run-folder.js';
import { folder as files } from '../../pipelines/files.js';
// What was written, in every version: see make.mjs there.
import { metadata, parts, rowsOf, shape } from '../../fixtures/rows/rows.mjs';

const ROOT = join(import.meta.dirname, '../../..');
const FIXTURES = join(ROOT, 'test/fixtures/rows');
const schema = rowSchema(parts, metadata, shape(column));

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const got = [];
  for await (const one of source) got.push(one);
  return got;
}

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'segr1-versions-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const copied = async (version: string, name: string): Promise<string> => {
  await cp(join(FIXTURES, version, name), join(folder, 'rows'), { recursive: true });
  return join(folder, 'rows');
};
const versionsIn = async (shards: string): Promise<unknown[]> => {
  const names = (await readdir(shards)).filter((name) => name.includes('.arrow'));
  const bytes = await Promise.all(names.map((name) => readFile(join(shards, name))));
  return bytes.map((one) => tableFromIPC(one).schema.metadata.get('schema_version'));
};

describe.each(['v1', 'v2'])('rows of %s', (version) => {
  const rows = rowsOf(version.slice(1));

  it('are read as they were written', async () => {
    expect(await all(readRows(join(FIXTURES, version, 'whole')))).toStrictEqual(rows);
  });

  it('are recovered of a run that was killed', async () => {
    expect(await all(recoverRows(join(FIXTURES, version, 'open')))).toStrictEqual(rows.slice(1, 4));
  });

  it('have what follows from them', async () => {
    const columns = ['status', 'seed', 'truthArea', 'truthBox', 'truthAtEdge', 'maskAreas', 'maskBoxes', 'masksAtEdge'];
    const got = await all(
      readRows<object, keyof Derived>(join(FIXTURES, version, 'whole'), { columns: columns as (keyof Derived)[] }),
    );
    // Counted by hand in rows.mjs: a 2 x 2 square inside, the left column, nothing.
    expect(got).toStrictEqual([
      { status: 'ok', seed: 7 },
      { status: 'ok', seed: 7, truthArea: 4, truthBox: [0, 0, 0, 3], truthAtEdge: true },
      {
        status: 'ok',
        seed: 7,
        truthArea: 4,
        truthBox: [1, 1, 2, 2],
        truthAtEdge: false,
        maskAreas: [4, null, 0],
        maskBoxes: [[1, 1, 2, 2], null, null],
        masksAtEdge: [false, null, false],
      },
      { status: 'ok', seed: 7 },
      { status: 'skipped', seed: 7 },
    ]);
  });

  it('are asked by rewards, prompts and scenes', async () => {
    const from = join(FIXTURES, version, 'whole');
    const asked = readRows(from, {
      columns: ['id', 'rewards', 'prompts'],
      where: ({ prompts, image }) => 'scene' in image || prompts?.[0]?.objects[0]?.box?.[0] === 1,
    });
    const [, { id }, { id: other, rewards, prompts }] = rows;
    expect(await all(asked)).toStrictEqual([{ id }, { id: other, rewards, prompts }]);
  });

  it('are rewritten in the columns of today where a run goes on with them', async () => {
    const there = await copied(version, 'open');
    const shards = await openShards(there, schema, { rowsPerBatch: 2 }, 3);
    expect([...new Set(await versionsIn(there))]).toEqual([SCHEMA_VERSION]);
    for (const row of rows.slice(3)) await shards.append(row);
    await shards.close();
    expect(await all(readRows(folder))).toStrictEqual([...rows.slice(1, 4), ...rows.slice(3)]);
    const { shards: sealed } = await readManifest(there);
    expect(sealed.reduce((sum, one) => sum + one.rows, 0)).toBe(5);
    expect([...new Set(await versionsIn(there))]).toEqual([SCHEMA_VERSION]);
  });
});

describe('rows of a newer version', () => {
  const newer = (Number(SCHEMA_VERSION) + 1).toString();
  const message = `columns of rows: expected schema_version 1 or ${SCHEMA_VERSION}; got "${newer}"; way out: a newer segr1`;

  /** Rows of today that say otherwise. */
  async function tomorrow(): Promise<string> {
    const there = await copied(`v${SCHEMA_VERSION}`, 'whole');
    const [shard] = (await readManifest(there)).shards;
    const path = join(there, shard.file);
    const bytes = await readFile(path);
    // A text of one letter, as metadata has it: its length, then the letter.
    const at = bytes.indexOf(Buffer.from([1, 0, 0, 0, SCHEMA_VERSION.charCodeAt(0), 0, 0, 0]));
    bytes[at + 4] = newer.charCodeAt(0);
    await writeFile(path, bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    await writeManifest(there, { shards: [{ ...shard, sha256 }], open: null });
    return path;
  }

  it('are refused by every reader, with the shard', async () => {
    const path = await tomorrow();
    await expect(all(readRows(folder))).rejects.toThrow(`${path}  ${message}`);
    await expect(all(readRows(path))).rejects.toThrow(`${path}  ${message}`);
    await expect(replayable({ rows: folder })).rejects.toThrow(`${path}  ${message}`);
  });

  it('stay as they are where a run would go on with them', async () => {
    const path = await tomorrow();
    const before = await readFile(path);
    await expect(openShards(join(folder, 'rows'), schema, {}, 5)).rejects.toThrow(`${path}  ${message}`);
    const place = new RunFolder(folder);
    const pipeline = await readPipeline(
      files().file('p.yaml', 'stages: [load: { scenes: { count: 8 }, frame: 32 }, write]'),
    );
    const refused = resumption(pipeline, place, undefined);
    await expect(refused).rejects.toThrow(UsageError);
    await expect(refused).rejects.toThrow(`${path}  ${message}`);
    expect(await readFile(path)).toEqual(before);
  });
});

describe('the columns', () => {
  it('are those of the version that they have', async () => {
    // They differ? Raise SCHEMA_VERSION, let earlier.ts read the version before, run scripts/row-schema.mjs and
    // test/fixtures/rows/make.mjs test/fixtures/rows/vN, and say in docs/rows.md what changed and how to migrate.
    const bytes = await readFile(join(FIXTURES, `v${SCHEMA_VERSION}`, 'whole/data-00000-of-00001.arrow'));
    const named = (fields: typeof schema.fields): unknown[] => fields.map(({ name, type }) => [name, typeName(type)]);
    expect(named(tableFromIPC(bytes).schema.fields)).toEqual(named(schema.fields));
  });

  it('are in docs/row-schema.json, which scripts/row-schema.mjs writes', async () => {
    expect(JSON.parse(await readFile(join(ROOT, 'docs/row-schema.json'), 'utf8'))).toEqual(describeColumns());
  });

  it('have a note for each version', async () => {
    const [, notes = ''] = (await readFile(join(ROOT, 'docs/rows.md'), 'utf8')).split('\n## Versions of the columns\n');
    const noted = [...notes.matchAll(/^\| (\d+) \|/gm)].map(([, version]) => version);
    expect(noted).toEqual(Array.from({ length: Number(SCHEMA_VERSION) }, (_, i) => String(i + 1)));
  });
});
