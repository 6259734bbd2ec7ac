import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { compared, comparisonTables, paired } from '../../src/report/compare.js';
import type { StoredItem, StoredRun } from '../../src/report/runs.js';

const item = (id: number, iou: number, more: Readonly<Record<string, number>> = {}): StoredItem => ({
  id: `r${id}`,
  set: 'refcoco/testA',
  unit: `${id % 3}.jpg`,
  kind: 'referring',
  values: { 'lisa/iou': iou, ...more },
});
const share = fc.integer({ min: 0, max: 100 }).map((percent) => percent / 100);

describe('paired', () => {
  it('turns its sign when runs change places, and is 0 of a run and itself', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(share, share), { minLength: 1, maxLength: 12 }), (values) => {
        const [a, b] = [values.map(([first], i) => item(i, first)), values.map(([, second], i) => item(i, second))];
        const [forth, back] = [paired(a, b).metrics['lisa/iou'], paired(b, a).metrics['lisa/iou']];
        expect(forth.value).toBeCloseTo(-back.value, 12);
        expect(forth.low).toBeCloseTo(-back.high, 9);
        expect(paired(a, a).metrics['lisa/iou']).toMatchObject({ value: 0, low: 0, high: 0 });
      }),
      { numRuns: 10 },
    );
  });

  it('takes the rows that both have, in whatever order they stand', () => {
    const { rows, metrics } = paired([item(1, 0.2), item(2, 0.4), item(9, 1)], [item(2, 0.8), item(1, 0.2)]);
    expect(rows).toBe(2);
    expect(metrics['lisa/iou'].value).toBeCloseTo(0.2, 12);
    expect(paired([item(1, 0)], [item(2, 0)])).toEqual({ rows: 0, metrics: {} });
  });

  it('compares what is pooled by its sums, not by its means', () => {
    const pooled = (id: number, over: number, under: number): StoredItem =>
      item(id, over / under, { 'lisa/intersection': over, 'lisa/union': under });
    const { metrics } = paired([pooled(1, 1, 2), pooled(2, 10, 100)], [pooled(1, 2, 2), pooled(2, 10, 100)]);
    expect(metrics['lisa/cIoU'].value).toBeCloseTo(12 / 102 - 11 / 102, 12);
  });
});

describe('compared', () => {
  const metric = (value: number) => ({ value, low: value, high: value, n: 2 });
  const run = (name: string, iou: number, numbers: Readonly<Record<string, number>>): StoredRun => ({
    name,
    protocol: 'standard',
    sets: [
      {
        set: 'refcoco/testA',
        kind: 'referring',
        n: 2,
        units: 2,
        metrics: { 'lisa/iou': metric(iou), 'lisa/cIoU': metric(iou) },
      },
    ],
    items: [item(0, iou), item(1, iou)],
    numbers,
  });

  it('stands beside the paper, in percent as it prints', () => {
    const comparison = compared([run('first', 0.5, { 'benchmark/acc': 0.8 }), run('second', 0.6543, {})]);
    const tables = new Map(comparisonTables(comparison));
    expect(tables.get('refcoco/testA beside the paper')!.slice(-3)).toEqual([
      ['Seg-R1-7B', '78.7'],
      ['first', '50.0'],
      ['second', '65.4'],
    ]);
    expect(tables.get('refcoco/testA')!.map(([, , , difference]) => difference)).toEqual([
      'second less first, 2 rows',
      '+.154 [.154, .154]',
      '-',
    ]);
    expect(tables.get('other numbers')).toEqual([
      ['', 'first', 'second'],
      ['benchmark/acc', '0.800', '-'],
    ]);
  });
});
