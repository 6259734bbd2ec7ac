import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { tableFromIPC } from 'apache-arrow';
import { describe, expect, it } from 'vitest';

import { cutMetrics, metricsText, writeMetrics } from '../../src/io/metrics-table.js';

describe('writeMetrics', () => {
  it('gives each number a column, null where a step lacks it', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'segr1-')), 'metrics.arrow');
    const lines = [
      {
        step: 1,
        time: '2026-01-01T00:00:00.000Z',
        metrics: { reward: 0.5 },
        speed: { step_time: 2 },
        seconds: { mask: 0.25 },
        blocked: { load: 1.5 },
        queue: { mask: 1 },
      },
      {
        step: 2,
        time: '2026-01-01T00:00:01.000Z',
        metrics: { reward: NaN, 'baseline/constant': 1.25 },
        speed: { step_time: 3 },
        seconds: { mask: 0.5 },
        blocked: { load: 0 },
        queue: { mask: 0 },
      },
    ];
    writeFileSync(`${path}l`, lines.map(metricsText).join(''));
    await writeMetrics(path, `${path}l`);
    const table = tableFromIPC(readFileSync(path));
    expect(table.toArray().map((row) => row?.toJSON())).toEqual([
      {
        step: 1,
        time: '2026-01-01T00:00:00.000Z',
        reward: 0.5,
        'baseline/constant': null,
        step_time: 2,
        'seconds/mask': 0.25,
        'blocked/load': 1.5,
        'queue/mask': 1,
      },
      {
        step: 2,
        time: '2026-01-01T00:00:01.000Z',
        reward: NaN,
        'baseline/constant': 1.25,
        step_time: 3,
        'seconds/mask': 0.5,
        'blocked/load': 0,
        'queue/mask': 0,
      },
    ]);
  });
});

describe('writeMetrics of many steps', () => {
  it('gives one column of all, also of a metric that came late', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'segr1-')), 'metrics.arrow');
    const steps = Array.from({ length: 2001 }, (_, i) => i + 1);
    const text = steps.map((step) =>
      metricsText({
        step,
        time: '2026-01-01T00:00:00.000Z',
        metrics: { reward: step / 2, ...(step === 2001 && { late: 1 }) },
        speed: {},
        seconds: {},
        blocked: {},
        queue: {},
      }),
    );
    writeFileSync(`${path}l`, text.join(''));
    await writeMetrics(path, `${path}l`);
    const table = tableFromIPC(readFileSync(path));
    expect(table.numRows).toBe(2001);
    expect([...(table.getChild('reward') ?? [])]).toEqual(steps.map((step) => step / 2));
    expect([table.getChild('late')?.get(0), table.getChild('late')?.get(2000)]).toEqual([null, 1]);
  });
});

describe('cutMetrics', () => {
  const line = (step: number, mean = 0.5) => ({
    step,
    time: '2026-01-01T00:00:00.000Z',
    metrics: { reward: mean },
    speed: {},
    seconds: {},
    blocked: {},
    queue: { mask: 1 },
  });
  const file = (text: string): string => {
    const path = join(mkdtempSync(join(tmpdir(), 'segr1-')), 'metrics.jsonl');
    writeFileSync(path, text);
    return path;
  };

  it('leaves the first steps, without a line that was cut off', async () => {
    const text = [line(1), line(2, NaN), line(3)].map(metricsText).join('');
    const path = file(`${text}${metricsText(line(4)).slice(0, 20)}`);
    expect(await cutMetrics(path, 2)).toEqual(line(2, NaN));
    expect(readFileSync(path, 'utf8')).toBe([line(1), line(2, NaN)].map(metricsText).join(''));
  });

  it.each([
    ['there are fewer', metricsText(line(1))],
    ['one was cut off', metricsText(line(1)) + metricsText(line(2)).slice(0, -2)],
  ])('refuses where %s', async (_, text) => {
    await expect(cutMetrics(file(text), 2)).rejects.toThrow('metrics: expected a line for each of 2 steps; got 1');
  });
});
