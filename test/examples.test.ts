import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { beforeAll, describe, expect, it } from 'vitest';

import { readPipeline, readRows, run, type Row } from '../src/index.js';
import { folder } from './pipelines/files.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const node = (...args: readonly string[]): Promise<{ stdout: string }> =>
  promisify(execFile)(process.execPath, args, { cwd: ROOT });

/** The shipped policy, or an untrained one where that is not there. */
let checkpoint = join(ROOT, 'data/models/tiny');

beforeAll(async () => {
  if (existsSync(join(checkpoint, 'model.safetensors'))) return;
  checkpoint = join(folder().path, 'tiny');
  await node('scripts/start-tiny.mjs', checkpoint);
});

const tooEasy = ({ skipped }: Row): boolean => skipped?.stage === 'easy';
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('examples/plain-rxjs.mjs', () => {
  it('trains, and gives out every row that went in', async () => {
    const { stdout } = await node('examples/plain-rxjs.mjs', checkpoint, '2');
    const counts = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<
      'in' | 'out' | 'easy' | 'steps',
      number
    >;
    expect([counts.in, counts.out]).toEqual([16, 16]);
    // Groups that are too easy are missing from the steps: what is left fills one or two.
    expect(counts.steps).toBe(Math.ceil((16 - counts.easy) / 8));
  });
});

describe('examples/custom-stage', () => {
  const file = join(ROOT, 'examples/custom-stage/train.yaml');

  it('marks what its own stage finds too easy, and trains on the rest', async () => {
    const root = join(folder().path, 'run');
    const pipeline = await readPipeline(file, { set: [`policy.checkpoint=${checkpoint}`, 'easy.over=0.9'] });
    const { rowsIn, rowsOut, marked } = await run(pipeline, { folder: root });
    const rows: Row[] = [];
    for await (const row of readRows(join(root, 'rows'))) rows.push(row);

    expect([rowsIn, rowsOut, rows.length]).toEqual([16, 16, 16]);
    expect(marked['easy']?.['too easy'] ?? 0).toBe(rows.filter(tooEasy).length);
    for (const row of rows) {
      expect(tooEasy(row)).toBe(mean(row.rewards?.total ?? []) > 0.9);
      expect(row.step === undefined).toBe(tooEasy(row));
    }
  });

  it('is checked like the built-in ones', async () => {
    const set = [`policy.checkpoint=${checkpoint}`, 'easy.ovr=1'];
    await expect(readPipeline(file, { set })).rejects.toThrow(
      '--set easy.ovr=1  easy has no option "ovr"; known: over; nearest: over',
    );
  });
});

describe('examples/custom-stage/difficulty.yaml', () => {
  it('writes its column beside the others, and reads it back', async () => {
    const root = join(folder().path, 'run');
    const file = join(ROOT, 'examples/custom-stage/difficulty.yaml');
    const { steps } = await run(await readPipeline(file, { set: [`policy.checkpoint=${checkpoint}`] }), {
      folder: root,
    });
    expect(steps).toBe(2);
    let rows = 0;
    for await (const { difficulty, rewards } of readRows<{ difficulty?: number }>(join(root, 'rows'))) {
      rows++;
      // Rewards are float32 by now.
      expect(difficulty).toBeCloseTo(1 - mean(rewards?.total ?? []) / 2, 6);
    }
    expect(rows).toBe(16);
  });
});

describe('examples/custom-reward', () => {
  const file = join(ROOT, 'examples/custom-reward/train.yaml');

  it("writes its module's scores beside the others, and weighs them", async () => {
    const root = join(folder().path, 'run');
    await run(await readPipeline(file, { set: [`policy.checkpoint=${checkpoint}`] }), { folder: root });
    const weights = { format: 1, iou: 0.7, structure: 0.3, length: 0.1, boxIoU: 1, inside: 0.5 };
    let rows = 0;
    for await (const { rewards, prompts = [], step } of readRows(join(root, 'rows'))) {
      rows++;
      const { byName = {}, total = [] } = rewards ?? {};
      expect([Object.keys(byName), step]).toEqual([Object.keys(weights), 1]);
      for (const [g, sum] of total.entries())
        expect(sum).toBeCloseTo(
          Object.entries(weights).reduce((all, [name, weight]) => all + weight * (byName[name]?.[g] ?? NaN), 0),
          5,
        );
      for (const [g, prompt] of prompts.entries()) if (prompt === null) expect(byName['inside']?.[g]).toBe(0);
    }
    expect(rows).toBe(8);
  });
});

describe('examples/custom-objective', () => {
  const file = join(ROOT, 'examples/custom-objective/train.yaml');

  it('takes a step by the objective of its module, and reports what that does', async () => {
    const root = join(folder().path, 'run');
    const { steps, rowsOut } = await run(await readPipeline(file, { set: [`policy.checkpoint=${checkpoint}`] }), {
      folder: root,
    });
    expect([steps, rowsOut]).toEqual([1, 8]);
    const [line = ''] = readFileSync(join(root, 'metrics/metrics.jsonl'), 'utf8').split('\n');
    const { metrics } = JSON.parse(line) as { metrics: Record<string, number> };
    // The first step is on-policy.
    expect(metrics['policy/ratio']).toBeCloseTo(1, 3);
    expect(metrics['grad_norm']).toBeGreaterThan(0);
  });
});
