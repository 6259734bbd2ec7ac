import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

import { describe, expect, it } from 'vitest';

import { RunFolder } from '../../../src/pipelines/store/run-folder.js';
import { folder, refusal } from '../files.js';

describe('RunFolder', () => {
  it('names everything without making it', () => {
    const root = join(folder().path, 'run');
    const run = new RunFolder(root);
    const names = [run.config, run.stepLines, run.checkpoint(20), run.evaluation(4).values, run.before.summary];
    expect(names.map((name) => relative(root, name))).toEqual([
      'config.yaml',
      'metrics/metrics.jsonl',
      'checkpoints/step-20',
      'evaluations/step-4/values.json',
      'before/summary.json',
    ]);
    expect(existsSync(root)).toBe(false);
  });

  it('knows whole checkpoints, the newest first, from those half written', () => {
    const run = new RunFolder(folder().path).make();
    for (const name of ['step-2', 'step-10', 'step-12.making', 'step-9.partial', 'step-2.mine', 'other'])
      mkdirSync(join(run.checkpoints, name));
    expect(run.checkpointSteps()).toEqual([10, 2]);
    expect([run.lastCheckpoint(), run.lastCheckpoint(2), run.lastCheckpoint(9)]).toEqual([
      run.checkpoint(10),
      run.checkpoint(2),
      undefined,
    ]);
    expect(run.halfWrittenCheckpoints().toSorted()).toEqual([
      run.unfinishedCheckpoint(12),
      `${run.checkpoint(9)}.partial`,
    ]);
  });

  it('knows none where there is no folder', () => {
    const run = new RunFolder(join(folder().path, 'nowhere'));
    expect([run.checkpointSteps(), run.evaluationSteps(), run.lastCheckpoint()]).toEqual([[], [], undefined]);
  });

  it('begins in a folder that is new, empty, or only locked, and in no other', async () => {
    const run = new RunFolder(folder().path);
    writeFileSync(run.lock, '');
    run.begin('train: {}\n');
    expect(readFileSync(run.config, 'utf8')).toBe('train: {}\n');
    expect(readdirSync(run.root).toSorted()).toEqual(['checkpoints', 'config.yaml', 'metrics', 'rows', 'run.lock']);
    expect(await refusal((async () => run.begin(''))())).toContain(
      'run: expected a new or empty folder; got one with files in it; way out: another --run, or --resume',
    );
  });
});
