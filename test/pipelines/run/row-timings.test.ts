import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readPipeline } from '../../../src/pipelines/config/read.js';
import { rowTimings } from '../../../src/pipelines/run/row-timings.js';
import { run } from '../../../src/pipelines/run/run.js';
import { folder } from '../files.js';

const linesIn = (file: string): unknown[] =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('rowTimings', () => {
  it('has a line a row, in the order in which they left, with seconds by stage', () => {
    const file = join(folder().path, 'timings.jsonl');
    let time = 0;
    const timings = rowTimings(file, () => time);
    timings.enter('rollout', 'a');
    timings.enter('rollout', 'b');
    time = 1500;
    timings.leave('rollout', 'b');
    timings.enter('mask', 'b');
    time = 1750;
    timings.leave('mask', 'b');
    expect(existsSync(file)).toBe(false);
    timings.done('b');
    time = 2000;
    timings.leave('rollout', 'a');
    timings.done('a');
    expect(linesIn(file)).toEqual([
      { id: 'b', seconds: { rollout: 1.5, mask: 0.25 } },
      { id: 'a', seconds: { rollout: 2 } },
    ]);
  });

  it('says where there is no folder for them', () => {
    const file = join(folder().path, 'none/timings.jsonl');
    expect(() => rowTimings(file).done('a')).toThrow(file);
  });

  it('is in the folder of a run, of all stages but the source', async () => {
    const place = folder();
    const text = 'window: 2\nstages: [load: { scenes: { count: 4 }, frame: 32 }, write]\n';
    const root = join(place.path, 'run');
    await run(await readPipeline(place.file('p.yaml', text)), { folder: root });
    const lines = linesIn(join(root, 'metrics/timings.jsonl'));
    expect(lines).toHaveLength(4);
    for (const line of lines)
      expect(line).toEqual({ id: expect.stringMatching(/^e0\//), seconds: { write: expect.any(Number) } });
  });
});
