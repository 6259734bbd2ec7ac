import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { mmeScores, subtaskScores } from '../../../src/metrics/benchmarks/mme.js';
import { anyVerdicts, verdict } from './verdicts.js';

const pair = (item: string, part: string, first: string, second: string) => [
  verdict(`yes/${first}`, { item, part }),
  verdict(`no/${second}`, { item, part }),
];

describe('subtaskScores', () => {
  it('counts questions, and images whose questions are both right', () => {
    const all = [
      ...pair('1', 'count', 'yes', 'no'),
      ...pair('2', 'count', 'yes', 'yes'),
      ...pair('3', 'count', '?', 'no'),
      ...pair('4', 'count', 'no', 'yes'),
    ];
    expect(subtaskScores(all)).toEqual({ accuracy: 4 / 8, accuracyPlus: 1 / 4, score: 75 });
  });

  it('is all right at 200, and nothing at 0', () => {
    expect(subtaskScores(pair('1', 'count', 'yes', 'no')).score).toBe(200);
    expect(subtaskScores(pair('1', 'count', '?', '?')).score).toBe(0);
  });
});

describe('mmeScores', () => {
  it('sums the subtasks of each kind, and none that it does not know', () => {
    const all = [
      ...pair('1', 'existence', 'yes', 'no'),
      ...pair('1', 'OCR', 'yes', 'yes'),
      ...pair('1', 'code_reasoning', 'yes', 'no'),
      ...pair('1', 'cooking', 'yes', 'no'),
    ];
    expect(mmeScores(all)).toEqual({ perception: 200 + 50, cognition: 200 });
  });

  it('stays within what the subtasks that are there can give, whatever the order', () => {
    fc.assert(
      fc.property(anyVerdicts(['yes', 'no'], ['existence', 'count', 'text_translation']), (all) => {
        const { perception, cognition } = mmeScores(all);
        expect([perception >= 0, perception <= 400, cognition >= 0, cognition <= 200]).toEqual([
          true,
          true,
          true,
          true,
        ]);
        const back = mmeScores(all.toReversed());
        expect([back['perception'], back['cognition']]).toEqual([perception, cognition]);
      }),
    );
  });
});
