import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { beforeAll, describe, expect, it } from 'vitest';

import { readRows } from '../../../src/io/arrow/shard.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import type { Summary } from '../../../src/pipelines/events.js';
import { run } from '../../../src/pipelines/run/run.js';
import type { Row } from '../../../src/records.js';
import { folder } from '../files.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const place = folder();
const at = (...parts: string[]): string => join(place.path, ...parts);

async function ran(name: string, what: string, set: readonly string[]): Promise<{ summary: Summary; rows: Row[] }> {
  const summary = await run(await readPipeline(what, { pipelinesFile: join(ROOT, 'pipelines.yaml'), set }), {
    folder: at(name),
  });
  const rows: Row[] = [];
  for await (const row of readRows(at(name, 'rows'))) rows.push(row);
  return { summary, rows };
}

describe('the shipped pipelines, from untrained weights on', () => {
  beforeAll(
    async () => void (await promisify(execFile)(process.execPath, [join(ROOT, 'scripts/start-tiny.mjs'), at('start')])),
    60_000,
  );

  it('fit, sft, pretrain, train and finetune go on where the one before ended', async () => {
    const fitted = await ran('fit', 'fit', ['load.scenes.count=8']);
    expect(fitted.rows.map((row) => Math.max(...(row.fitted?.ious ?? [])) > 0.5)).toEqual(Array(8).fill(true));
    const taught = await ran('sft', 'sft', ['load.scenes.count=32', `policy.checkpoint=${at('start')}`]);
    expect(taught.summary.steps).toBe(1);
    const pretrained = await ran('pretrain', 'pretrain', [
      'load.scenes.count=8',
      `policy.checkpoint=${at('sft/checkpoints/step-1')}`,
    ]);
    expect(pretrained.rows.map(({ step, prompts }) => [step, prompts?.length])).toEqual(Array(8).fill([1, 8]));
    const trained = await ran('train', 'train', [
      'load.scenes.count=8',
      'evaluate=null',
      `policy.checkpoint=${at('pretrain/checkpoints/step-1')}`,
    ]);
    expect(trained.summary).toMatchObject({ rowsIn: 8, rowsOut: 8, steps: 1, marked: {} });
    const tuned = await ran('finetune', 'finetune', [
      'load.scenes.count=8',
      `policy.checkpoint=${at('train/checkpoints/step-1')}`,
    ]);
    expect(tuned.summary).toMatchObject({ rowsIn: 8, rowsOut: 8, steps: 1, marked: {} });
  });

  it('sft learns the thoughts about a run of fit that is replayed', async () => {
    await ran('clicked', 'fit', ['load.scenes.count=6']);
    const yaml = `policy: { checkpoint: ${at('start')} }\nwindow: 8\nstages:\n  - replay: { rows: ${at('clicked')}, epochs: 2 }\n  - think: { template: '{place} {name}' }\n  - sft: { rowsPerStep: 4, prompt: learned }\n  - write\n`;
    const { rows, summary } = await ran('learned', place.file('learn.yaml', yaml), []);
    expect([summary.steps, summary.marked]).toEqual([3, {}]);
    for (const { thinking, solution, fitted } of rows)
      expect(`${thinking} ${solution}`.replace(/<think>.*<\/think>/, '')).toBe(
        fitted?.text.replace(/<think>.*<\/think>/, ''),
      );
    expect(new Set(rows.map(({ id }) => id)).size).toBe(12);
  });
});
