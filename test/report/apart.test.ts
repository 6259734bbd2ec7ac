import { describe, expect, it } from 'vitest';

import { apart } from '../../src/report/apart.js';
import { compared, comparisonTables } from '../../src/report/compare.js';
import type { StoredRun } from '../../src/report/runs.js';

const metric = (value: number) => ({ value, low: value, high: value, n: 1 });

function run(name: string, folder: string, set = 'cats', mae = 0.25): StoredRun {
  return {
    name,
    protocol: 'standard',
    sets: [{ set, kind: 'foreground', n: 1, units: 1, metrics: { structure: metric(0.5), mae: metric(mae) } }],
    items: [{ id: 'e0/0/1', set, unit: `${folder}/1.png`, kind: 'foreground', values: { mae } }],
    numbers: {},
  };
}
const there = (path: string): boolean => path.startsWith('/here/');

describe('apart', () => {
  it('names sets by their folders where these differ and are both here', () => {
    const told = apart([run('a', '/here/old/cats'), run('b', '/here/new/cats'), run('c', '/here/old/cats')], there);
    expect(told.map(({ sets: [{ set }], items: [item] }) => [set, item.set])).toEqual([
      ['cats (old/cats)', 'cats (old/cats)'],
      ['cats (new/cats)', 'cats (new/cats)'],
      ['cats (old/cats)', 'cats (old/cats)'],
    ]);
    expect(compared(told).sets.map(({ set, differences }) => [set, differences.map(({ rows }) => rows)])).toEqual([
      ['cats (old/cats)', [0, 1]],
      ['cats (new/cats)', [0, 0]],
    ]);
  });

  it('keeps a set that lies elsewhere on another machine', () => {
    const runs = [run('a', '/here/old/cats'), run('b', '/elsewhere/cats'), run('c', '/here/old/cats')];
    expect(apart(runs, there)).toEqual(runs);
    expect(compared(runs).sets).toHaveLength(1);
  });

  it('puts several sets into one table', () => {
    const tables = comparisonTables(compared([run('a', 'x'), run('b', 'x', 'dogs', 0.125)]));
    expect(tables[0]).toEqual([
      'all sets',
      [
        ['set', '', 'a', 'b'],
        ['cats', 'S-measure, α = 0.5, mean over images', '.500 [.500, .500]', '-'],
        ['cats', 'MAE, of grey levels, mean over images', '.250 [.250, .250]', '-'],
        ['dogs', 'S-measure, α = 0.5, mean over images', '-', '.500 [.500, .500]'],
        ['dogs', 'MAE, of grey levels, mean over images', '-', '.125 [.125, .125]'],
      ],
    ]);
  });
});
