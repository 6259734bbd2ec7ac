import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { beforeAll, describe, expect, it } from 'vitest';

import { readRows } from '../../../src/io/arrow/shard.js';
import { mean } from '../../../src/operators/scoring/statistics.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import { run } from '../../../src/pipelines/run/run.js';
import type { Row } from '../../../src/records.js';
import { folder } from '../files.js';

const pipelinesFile = fileURLToPath(new URL('../../../pipelines.yaml', import.meta.url));
const small = ['evaluate=null', 'load.scenes.count=16', 'tally.constantBaseline=8'];

/** Rows of a shipped pipeline with the shipped policy. */
async function rowsOf(name: string, set: readonly string[]): Promise<{ rows: Row[]; root: string }> {
  const root = join(folder().path, 'run');
  await run(await readPipeline(name, { pipelinesFile, set }), { folder: root });
  const rows: Row[] = [];
  for await (const row of readRows(join(root, 'rows'))) rows.push(row);
  return { rows, root };
}

describe('the shipped train', () => {
  let first: Awaited<ReturnType<typeof rowsOf>>;
  beforeAll(async () => void (first = await rowsOf('train', small)), 120_000);

  it('learns in steps, each row written by the policy that it teaches', () => {
    expect(first.rows.map(({ step, policyVersion }) => [step, policyVersion])).toEqual([
      ...Array(8).fill([1, 0]),
      ...Array(8).fill([2, 1]),
    ]);
    expect(first.rows.flatMap(({ formats = [] }) => formats).filter((format) => format === 1).length).toBeGreaterThan(
      100,
    );
    expect(first.rows.some(({ advantages = [] }) => advantages.some((advantage) => advantage !== 0))).toBe(true);
    expect(readdirSync(join(first.root, 'checkpoints'))).toEqual(['step-2']);
  });

  it.each([[[]], [['mask.inflight=1', 'rollout.inflight=1']], [['mask.inflight=4', 'policy.workers=1']]])(
    'gives the same rows again, and with %j',
    async (set) => {
      expect((await rowsOf('train', [...small, ...set])).rows).toEqual(first.rows);
    },
  );

  it('gives other rows of another seed', async () => {
    expect((await rowsOf('train', [...small, 'seed=8'])).rows).not.toEqual(first.rows);
  });
});

describe('the shipped train, with more rows under way than a step takes', () => {
  it('writes while it learns, and says of each row how old it is, within what the window allows', async () => {
    const { rows, root } = await rowsOf('train', [
      'evaluate=null',
      'load.scenes.count=24',
      'tally.constantBaseline=8',
      'rollout.group=2',
      'window=12',
      'update.groupsPerStep=4',
    ]);
    expect(rows.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6].flatMap((step) => Array(4).fill(step)));
    const ages = rows.map(({ step = NaN, policyVersion = NaN }) => step - 1 - policyVersion);
    expect(ages.slice(0, 4)).toEqual([0, 0, 0, 0]);
    expect(Math.min(...ages)).toBe(0);
    expect([1, 2]).toContain(Math.max(...ages));
    const told = readFileSync(join(root, 'metrics/metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { metrics: Record<string, number> }).metrics);
    const by = (step: number): number[] => ages.filter((_, i) => rows[i]?.step === step);
    expect(told.map((metrics) => [metrics['staleness/mean'], metrics['staleness/max']])).toEqual(
      told.map((_, i) => [mean(by(i + 1)), Math.max(...by(i + 1))]),
    );
  });

  it('replaces groups without a difference, and is still written by the policy that it teaches', async () => {
    const { rows } = await rowsOf('train', [
      'evaluate=null',
      'load.scenes.count=24',
      'tally.constantBaseline=8',
      'rollout.group=2',
      'rollout.temperature=0.2',
      'window=4',
      'update.groupsPerStep=4',
      'update.dynamicSampling=2',
    ]);
    expect(rows).toHaveLength(24);
    const [out, taken] = [rows.filter(({ skipped }) => skipped), rows.filter(({ skipped }) => !skipped)];
    expect(out.length).toBeGreaterThan(0);
    expect(
      out.every(
        ({ skipped, advantages = [] }) =>
          skipped?.reason.startsWith('no spread') && advantages.every((advantage) => advantage === 0),
      ),
    ).toBe(true);
    expect(taken.every(({ advantages = [] }) => advantages.some((advantage) => advantage !== 0))).toBe(true);
    expect(taken.map(({ step = NaN, policyVersion }) => step - 1 === policyVersion)).not.toContain(false);
  });
});

describe('the shipped train, of an adapter', () => {
  it('saves the adapter alone, and goes on with it', async () => {
    const set = ['evaluate=null', 'load.scenes.count=8', 'tally.constantBaseline=8'];
    const first = await rowsOf('train', [...set, 'policy.train={ lora: { rank: 4, targets: [q_proj, v_proj] } }']);
    expect(first.rows.map(({ step }) => step)).toEqual(Array(8).fill(1));
    const saved = join(first.root, 'checkpoints/step-1');
    expect(readdirSync(saved)).toEqual(
      expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors', 'tokenizer.json']),
    );
    const second = await rowsOf('train', [...set, 'policy.train=adapter', `policy.adapter=${saved}`]);
    expect(readdirSync(join(second.root, 'checkpoints/step-1'))).toEqual(readdirSync(saved));
    expect(second.rows[0]?.completions).not.toEqual(first.rows[0]?.completions);
  });
});

describe('the shipped sft', () => {
  it('teaches fitted answers, which the rows keep', async () => {
    const { rows, root } = await rowsOf('sft', ['load.scenes.count=40']);
    expect(rows).toHaveLength(40);
    expect(rows.map(({ step }) => step)).toEqual([...Array(32).fill(1), ...Array(8).fill(2)]);
    for (const { fitted } of rows)
      expect(fitted?.text).toMatch(
        /^<think> (top|middle|bottom) (left|center|right) \w+ <\/think> <bbox>\[\d+,\d+,\d+,\d+\]<\/bbox>, <points>/,
      );
    expect(readdirSync(join(root, 'checkpoints'))).toEqual(['step-2']);
  });
});

describe('the shipped fit', () => {
  it('records what leads the segmenter to the truth', async () => {
    const { rows } = await rowsOf('fit', ['load.scenes.count=4', 'load.frame=64']);
    for (const { fitted } of rows) {
      expect(Math.max(...(fitted?.ious ?? []))).toBeGreaterThan(0.7);
      expect(fitted?.prompt.objects[0]?.points.length).toBeGreaterThan(0);
    }
  });
});
