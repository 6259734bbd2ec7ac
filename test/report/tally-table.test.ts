import { describe, expect, it } from 'vitest';

import type { Tally } from '../../src/operators/tally.js';
import { markdown, plain } from '../../src/report/table.js';
import { gainTable, tallyTable } from '../../src/report/tally-table.js';

const tally: Tally = {
  rows: 200,
  marked: { load: 2, mask: 1 },
  metrics: {
    'answer/hit': { mean: 0.25, error: 0.0306, n: 200 },
    reward: { mean: 1.3166, error: 0.0174, n: 200 },
    'group/reward_std': { mean: 0, error: 0, n: 200 },
    'rewards/own/mean': { mean: NaN, error: NaN, n: 0 },
    'baseline/another_scene': { mean: 1.2, error: NaN, n: 1 },
  },
  constants: [
    { box: [4, 4, 107, 107], reward: { mean: 1.3, error: 0.02, n: 64 } },
    { box: [16, 16, 95, 95], reward: { mean: 1.33, error: 0.03, n: 64 } },
  ],
};

describe('tallyTable', () => {
  it('shows each metric with its standard error, in an order of its own', () => {
    expect(plain(tallyTable(tally)).split('\n')).toEqual([
      '                                     mean           n',
      'reward                               1.317 ± 0.017  200',
      'reward on another scene              1.200          1',
      'right object                         0.250 ± 0.031  200',
      'rewards/own/mean                     -              0',
      'best constant answer, [16,16,95,95]  1.330 ± 0.030  64',
      'rows                                 200',
      'marked by load                       2',
      'marked by mask                       1',
    ]);
  });
});

describe('gainTable', () => {
  it('shows before, after and what changed', () => {
    const after = {
      ...tally,
      marked: {},
      metrics: { ...tally.metrics, 'answer/hit': { mean: 0.2, error: 0.01, n: 200 } },
    };
    const gains = { reward: { mean: 0, error: 0, n: 200 }, 'answer/hit': { mean: -0.05, error: 0.02, n: 200 } };
    const lines = gainTable({ before: tally, after, gains });
    expect(lines).toContainEqual(['reward', '1.317 ± 0.017', '1.317 ± 0.017', '+0.000 ± 0.000']);
    expect(lines).toContainEqual(['right object', '0.250 ± 0.031', '0.200 ± 0.010', '-0.050 ± 0.020']);
    expect(lines).toContainEqual(['best constant answer', '1.330 ± 0.030', '1.330 ± 0.030', '']);
    expect(lines.at(-1)).toEqual(['marked', '3', '0', '']);
  });
});

describe('markdown', () => {
  it('is a page with one table', () => {
    expect(
      markdown('judge', [
        ['', 'mean'],
        ['  iou', '1'],
      ]),
    ).toBe('# judge\n\n|  | mean |\n| --- | --- |\n| iou | 1 |\n');
  });
});
