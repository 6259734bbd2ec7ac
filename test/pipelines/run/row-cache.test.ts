import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { from, lastValueFrom, map, tap, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { rowSchema } from '../../../src/io/arrow/columns.js';
import { column } from '../../../src/io/arrow/own-columns.js';
import { openShards, readRows } from '../../../src/io/arrow/shard.js';
import { dropAside, putAside, cached } from '../../../src/pipelines/run/row-cache.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import type { RunEvent } from '../../../src/pipelines/events.js';
import { run } from '../../../src/pipelines/run/run.js';
import { RunFolder } from '../../../src/pipelines/store/run-folder.js';
import type { Row } from '../../../src/records.js';
import { folder } from '../files.js';

const frame = { width: 4, height: 4 };
const row = (id: string, more: Partial<Row> = {}): Row => ({
  id,
  image: { path: `${id}.png` },
  task: 'foreground',
  frame,
  original: frame,
  ...more,
});
const marked = (id: string): Row => row(id, { skipped: { stage: 'load', reason: 'unreadable' } });

/** A folder as a run leaves it that is broken off behind these rows, two a batch. */
async function brokenOff(root: string, rows: readonly Row[], schema = rowSchema([])): Promise<void> {
  mkdirSync(root, { recursive: true });
  const made = join(folder().path, 'rows');
  const shards = await openShards(made, schema, { rowsPerBatch: 2 });
  for (const one of rows) await shards.append(one);
  cpSync(made, join(root, 'rows'), { recursive: true });
  await shards.close();
}

describe('putAside', () => {
  it('keeps rows of whole batches, but for marked ones', async () => {
    const root = folder().path;
    await brokenOff(root, [row('a'), marked('b'), row('c', { thinking: 'so' }), row('d'), row('e')]);
    const kept = await putAside(new RunFolder(root));
    expect([...kept]).toEqual([
      ['a', row('a')],
      ['c', row('c', { thinking: 'so' })],
      ['d', row('d')],
    ]);
    expect(readdirSync(root)).toEqual(['rows.before']);
    await dropAside(new RunFolder(root));
    expect(readdirSync(root)).toEqual([]);
  });

  it.each([
    [
      ['a', 'b'],
      ['a', 'b', 'c', 'd'],
    ],
    [
      ['a', 'b', 'c', 'd'],
      ['a', 'b'],
    ],
    [['a', 'b', 'c', 'd'], []],
  ])('of rows %j and then %j takes the more', async (first, second) => {
    const root = folder().path;
    const rows = join(root, 'rows');
    for (const ids of [first, second]) {
      await brokenOff(
        root,
        ids.map((id) => row(id)),
      );
      expect([...(await putAside(new RunFolder(root))).keys()]).toEqual(ids === first ? first : ['a', 'b', 'c', 'd']);
      expect(existsSync(rows)).toBe(false);
    }
  });

  it('keeps columns of one’s own', async () => {
    const root = folder().path;
    const schema = rowSchema([], {}, { columns: { difficulty: column.float('how hard it is') } });
    const rows = [{ ...row('a'), difficulty: 0.7 }, row('b')];
    await brokenOff(root, rows, schema);
    const kept = await putAside(new RunFolder(root));
    const made = map((one: Row): Row => ({ ...one, difficulty: 0.1 }) as Row);
    const out = from([row('a'), row('b')]).pipe(cached(made, ['difficulty'], kept), toArray());
    expect(await lastValueFrom(out)).toEqual([
      { ...row('a'), difficulty: 0.7 },
      { ...row('b'), difficulty: 0.1 },
    ]);
  });

  it('keeps none where a sealed shard is not what it was, or there never was a row', async () => {
    const root = folder().path;
    const rows = join(root, 'rows');
    const shards = await openShards(rows, rowSchema([]));
    await shards.append(row('a'));
    await shards.close();
    truncateSync(join(rows, 'data-00000-of-00001.arrow'), 1000);
    expect((await putAside(new RunFolder(root))).size).toBe(0);
    mkdirSync(rows);
    expect((await putAside(new RunFolder(root))).size).toBe(0);
  });
});

describe('remembering', () => {
  const kept = new Map(
    [
      row('a', { thinking: 'A', problem: 'p', solution: 's' }),
      row('b', { thinking: 'B' }),
      row('c', { problem: 'p' }),
    ].map((one) => [one.id, one]),
  );

  it('adds the columns of rows that are known, and has the others made', async () => {
    const made: string[] = [];
    const think = map((one: Row): Row => (one.skipped ? one : { ...one, thinking: 'new' }));
    const rows = [row('a'), marked('b'), row('c'), row('d')];
    const out = await lastValueFrom(
      from(rows).pipe(
        cached(
          (source) =>
            source.pipe(
              tap(({ id }) => made.push(id)),
              think,
            ),
          ['thinking'],
          kept,
        ),
        toArray(),
      ),
    );
    expect(out).toEqual([
      row('a', { thinking: 'A' }),
      marked('b'),
      row('c', { thinking: 'new' }),
      row('d', { thinking: 'new' }),
    ]);
    expect(made).toEqual(['b', 'c', 'd']);
  });
});

describe('an evaluation that is broken off', () => {
  it('comes to the same rows, tally and scores as one that was not', async () => {
    const tiny = fileURLToPath(new URL('../../../data/models/tiny', import.meta.url));
    const place = folder();
    const pipeline = await readPipeline(
      place.file(
        'judge.yaml',
        `seed: 7
window: 4
policy:    { checkpoint: ${JSON.stringify(tiny)}, workers: 1, threads: 1, batch: 1 }
segmenter: { kind: grabcut, size: 32 }
stages:
  - load:    { scenes: { count: 12 }, frame: 112 }
  - rollout: { group: 1, maxTokens: 40, entropy: true }
  - parse
  - mask
  - reward:  { weights: { format: 1, iou: 0.7 } }
  - tally:   { constantBaseline: 3, shuffledImageBaseline: true, overlays: 1 }
  - score:   { overlays: 1 }
  - write:   { rowsPerBatch: 4 }
`,
      ),
    );
    const [whole, broken] = [join(place.path, 'whole'), join(place.path, 'broken')];
    // What would be there if the program had been killed at that row; the lock is of a program that runs.
    const filter = (file: string): boolean => !file.endsWith('run.lock');
    const watch = (report: RunEvent): void =>
      void (report.kind === 'row' && report.rowsOut === 9 && cpSync(whole, broken, { recursive: true, filter }));
    await run(pipeline, { folder: whole, watch });
    const told: RunEvent[] = [];
    const summary = await run(pipeline, { folder: broken, resume: true, watch: (report) => told.push(report) });
    expect(told[0]).toEqual({
      kind: 'notice',
      text: expect.stringMatching(/broken {2}resume: 8 rows keep what rollout, mask added$/) as string,
    });
    expect(summary).toMatchObject({ rowsIn: 12, rowsOut: 12, marked: {} });
    const rows = async (root: string): Promise<Row[]> => {
      const all: Row[] = [];
      for await (const one of readRows(join(root, 'rows'))) all.push(one);
      return all;
    };
    expect(await rows(broken)).toEqual(await rows(whole));
    for (const file of ['summary.json', 'scores.jsonl', 'overlays/index.json'])
      expect(readFileSync(join(broken, file), 'utf8')).toBe(readFileSync(join(whole, file), 'utf8'));
    expect(readdirSync(broken).toSorted()).toEqual(readdirSync(whole).toSorted());
  });
});
