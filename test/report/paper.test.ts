import { describe, expect, it } from 'vitest';

import { paperOf } from '../../src/report/paper.js';

const sets = [
  'cod10k/test',
  'camo/test',
  'dut-omron/test',
  'duts/test',
  'hku-is/test',
  'ecssd/test',
  'refcoco/testA',
  'refcoco/val',
  'refcoco+/testB',
  'refcocog/test',
  'reasonseg/val',
  'reasonseg/test',
];

describe('paperOf', () => {
  it.each(sets)('%s: a value a column, each a number or -', (set) => {
    const { columns, rows } = paperOf(set)!;
    expect(
      rows.filter(
        ({ values }) =>
          values.length !== columns.length || values.some((value) => !/^(\.\d{3}|\d\d\.\d|-)$/.test(value)),
      ),
    ).toEqual([]);
  });

  // Seg-R1, arXiv:2506.22624, abstract: .873 S-measure on COD10K, 71.4 cIoU on RefCOCOg test, 56.7 gIoU on ReasonSeg
  // test.
  it.each([
    ['cod10k/test', 'S', '.873'],
    ['refcocog/test', 'cIoU', '71.4'],
    ['reasonseg/test', 'gIoU', '56.7'],
  ] as const)('%s: %s of the 7B model is %s', (set, column, value) => {
    const { columns, rows } = paperOf(set)!;
    expect(rows.find(({ method }) => method === 'Seg-R1-7B')?.values[columns.indexOf(column)]).toBe(value);
  });

  it('has nothing for other sets', () => expect(paperOf('scenes/pick')).toBeUndefined());
});
