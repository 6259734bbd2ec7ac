import { lastValueFrom, of, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { clicksOf } from '../../src/models/sam2/prompts.js';
import { parse } from '../../src/operators/parse.js';
import { readReasoning } from '../../src/operators/parse-reason.js';
import type { RolledOut } from '../../src/records.js';

const frame = { width: 100, height: 100 };
const points = '<points>[[5,6],[90,91]]</points><labels>[1,0]</labels>';
const both = [
  { x: 5, y: 6, label: 1 },
  { x: 90, y: 91, label: 0 },
];

// Seg-R1, eval_reasoning_segmentation.py: the points' and labels' expressions of training with int(), and of boxes the
// first match of <bbox>(\s*\[\s*\d+\s*,\s*\d+\s*,\s*\d+\s*,\s*\d+\s*\]); one call of SAM 2 with that box and all points.
describe('readReasoning', () => {
  it.each([
    ['a box with all points, also those outside', `<bbox>[1,2,30,40]</bbox>${points}`, [1, 2, 30, 40], both],
    ['the first of several boxes', `<bbox>[1,2,3,4]</bbox><bbox>[5,6,7,8]</bbox>`, [1, 2, 3, 4], []],
    ['a box that is not closed', `<bbox> [ 1, 2, 3, 4 ] and so on`, [1, 2, 3, 4], []],
    ['the first that has four numbers', `<bbox>[1,2]</bbox><bbox>[1,2,3,4]`, [1, 2, 3, 4], []],
    [
      'numbers that begin with 0',
      `<bbox>[01,2,03,4]<points>[[05,6]]</points><labels>[01]</labels>`,
      [1, 2, 3, 4],
      [{ x: 5, y: 6, label: 1 }],
    ],
    ['points alone', points, undefined, both],
    ['points without a comma between', '<points>[[5,6][90,91]]</points><labels>[1 0]</labels>', undefined, both],
    [
      'other labels than points',
      `<bbox>[1,2,3,4]</bbox><points>[[5,6]]</points><labels>[1,0]</labels>`,
      [1, 2, 3, 4],
      [],
    ],
    ['a label of 2', `<bbox>[1,2,3,4]</bbox><points>[[5,6]]</points><labels>[2]</labels>`, [1, 2, 3, 4], []],
  ])('%s', (_, text, box, clicks) => {
    const [object, ...others] = readReasoning(text, frame)?.objects ?? [];
    expect(others).toEqual([]);
    expect([object?.box, object?.points]).toEqual([box, clicks]);
  });

  it.each(['', '<bbox>[1,2,3]</bbox>', '<bbox>[1.5,2,3,4]</bbox>', '<points>[[5,6]]</points>', '<points>[]</points>'])(
    'nothing of %j',
    (text) => {
      expect(readReasoning(text, frame)).toBeNull();
    },
  );

  it('gives SAM 2 the points outside the box, which the strict reading does not', () => {
    const [object] = readReasoning(`<bbox>[1,2,30,40]</bbox>${points}`, frame)!.objects;
    expect(clicksOf(object, frame, 100).map(({ label }) => label)).toEqual([1, 0, 2, 3]);
    expect(clicksOf({ box: object.box!, points: object.points }, frame, 100).map(({ label }) => label)).toEqual([
      1, 2, 3,
    ]);
  });
});

describe('parse under legacy', () => {
  const text = `<think></think><bbox>[1,2,30,40]<bbox>[5,6,7,8]</bbox>${points}`;
  const row = (task: string) =>
    ({
      id: task,
      task,
      frame,
      completions: [{ text, tokens: [1], logProbs: [0], finish: 'stop' }],
    }) as unknown as RolledOut;

  it.each([
    ['reason-sentence', 'legacy', [[1, 2, 30, 40]]],
    ['reason-phrase', 'legacy', [[1, 2, 30, 40]]],
    ['referring', 'legacy', [[5, 6, 7, 8]]],
    ['foreground', 'legacy', [[5, 6, 7, 8]]],
    ['reason-sentence', 'standard', [[5, 6, 7, 8]]],
  ] as const)('%s, %s', async (task, protocol, boxes) => {
    const [read] = await lastValueFrom(of(row(task)).pipe(parse({}, undefined, protocol), toArray()));
    expect(read.prompts[0]?.objects.map(({ box }) => box)).toEqual(boxes);
    expect(read.prompts[0]?.objects[0].everyPoint).toBe(
      task.startsWith('reason-') && protocol === 'legacy' ? true : undefined,
    );
  });
});
