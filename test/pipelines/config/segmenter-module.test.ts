import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { readRows } from '../../../src/io/arrow/shard-reader.js';
import { readPipeline, resolvedYaml } from '../../../src/pipelines/config/read.js';
import { run } from '../../../src/pipelines/run/run.js';
import type { Fitted } from '../../../src/records.js';
import { folder, refusal } from '../files.js';

const BOXES = fileURLToPath(new URL('../../fixtures/box-segmenter.mjs', import.meta.url));
const stages = 'stages: [{ load: { scenes: { count: 2 }, frame: 32 } }, { fit: { maxClicks: 1 } }, write]';
const pipeline = (options: string): string => `segmenter: { ${options} }\n${stages}\n`;
const module = `module: ${JSON.stringify(BOXES)}`;

describe('a segmenter of one’s own', () => {
  it('is named by its module, with its defaults, and reads back', async () => {
    const { file } = folder();
    file('mine.mjs', `export * from ${JSON.stringify(BOXES)};`);
    const read = await readPipeline(file('p.yaml', pipeline('module: ./mine.mjs, table: p.yaml')));
    const expected = { module: join(file('x', ''), '..', 'mine.mjs'), inset: 0, table: join(read.file) };
    expect(read.settings.segmenter).toEqual(expected);
    expect((await readPipeline(file('again.yaml', resolvedYaml(read)))).settings.segmenter).toEqual(expected);
  });

  it('takes the place of another by an override', async () => {
    const file = folder().file('p.yaml', pipeline('kind: grabcut, size: 16'));
    const { settings } = await readPipeline(file, { set: [`segmenter.module=${BOXES}`, 'segmenter.inset=2'] });
    expect(settings.segmenter).toEqual({ module: BOXES, inset: 2 });
    const back = await readPipeline(folder().file('q.yaml', pipeline(module)), { set: ['segmenter.kind=grabcut'] });
    expect(back.settings.segmenter).toMatchObject({ kind: 'grabcut', size: 64 });
  });

  it('cuts what a pipeline asks of it', async () => {
    const root = join(folder().path, 'run');
    await run(await readPipeline(folder().file('p.yaml', pipeline(`${module}, inset: 1`))), { folder: root });
    let rows = 0;
    for await (const row of readRows(join(root, 'rows'))) {
      rows++;
      const { fitted } = row as unknown as Fitted;
      expect(fitted.prompt.objects[0].points).toHaveLength(1);
      expect(fitted.ious[0]).toBeLessThan(1);
    }
    expect(rows).toBe(2);
  });

  it.each([
    [`${module}, insat: 1`, /^p\.yaml:1:\d+ {2}segmenter has no option "insat"; known: inset, table; nearest: inset$/],
    [`${module}, inset: -1`, /^p\.yaml:1:\d+ {2}segmenter\.inset: expected at least 0; got -1$/],
    [`${module}, inset: 10`, /^p\.yaml:1:\d+ {2}segmenter\.inset: expected less than 10; got 10$/],
    [
      `${module}, table: gone.csv`,
      /^p\.yaml:1:\d+ {2}segmenter\.table: expected a file or folder; got "gone\.csv", and .* is not there$/,
    ],
    [
      'module: gone.mjs, inset: 1',
      /^p\.yaml:1:22 {2}segmenter\.module: expected a file or folder; got "gone\.mjs", and .* is not there$/,
    ],
    ['module: p.yaml', /^p\.yaml:1:22 {2}segmenter\.module: expected a module that loads; got .*$/],
    ['module: 3', /^p\.yaml:1:22 {2}segmenter\.module: expected a string; got 3$/],
    [`kind: grabcut, ${module}`, /segmenter has no option "module"; known: kind, size/],
  ])('is refused: %s', async (options, message) => {
    expect(await refusal(readPipeline(folder().file('p.yaml', pipeline(options))))).toMatch(message);
  });
});
