import { join } from 'node:path';

import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';

import { tableItems } from '../../../src/io/benchmarks/table.js';
import { readImageFile } from '../../../src/io/image.js';
import { mmbenchTable, placed } from './published.js';

const circular = { benchmark: 'mmbench', circular: true } as const;
const long = 'A'.repeat(80);
const table = (...records: readonly (readonly string[])[]): string =>
  join(
    placed({
      't.tsv': [['index', 'question', 'A', 'B', 'C', 'answer', 'image', 'split'], ...records]
        .map((record) => record.join('\t'))
        .join('\n'),
    }),
    't.tsv',
  );

describe('tableItems', () => {
  let path = '';
  beforeAll(async () => void (path = join(await mmbenchTable(), 'mmbench.tsv')));

  it('asks every question in every order of its options', () => {
    const items = tableItems(path, circular);
    expect(
      items.map(({ name, question }) => [name, question?.part, question?.options.join(), question?.answer]),
    ).toEqual([
      ['3-0', 'perception/object', 'a kite,a gull', 'B'],
      ['3-1', 'perception/object', 'a gull,a kite', 'A'],
      ['7-0', 'reasoning/weather', 'wind,rain,sun,snow', 'D'],
      ['7-1', 'reasoning/weather', 'rain,sun,snow,wind', 'C'],
      ['7-2', 'reasoning/weather', 'sun,snow,wind,rain', 'B'],
      ['7-3', 'reasoning/weather', 'snow,wind,rain,sun', 'A'],
      ['9-0', 'perception/colour', 'red,grey,blue', 'B'],
      ['9-1', 'perception/colour', 'grey,blue,red', 'A'],
      ['9-2', 'perception/colour', 'blue,red,grey', 'C'],
      ['11-0', 'perception/count', 'one,two', 'A'],
      ['11-1', 'perception/count', 'two,one', 'B'],
    ]);
    expect(items[3]?.instruction).toBe(
      'The wind\u00a0blows.\nSay "why"\tit is so\nA. rain\nB. sun\nC. snow\nD. wind\nAnswer with the letter of the right option.',
    );
  });

  it('gives pictures by reference, also where a row names the one of another', async () => {
    const items = tableItems(path, { benchmark: 'ai2d', circular: false });
    const levels = await Promise.all(items.map(async ({ image }) => (await readImageFile(image)).data[0]));
    expect(levels).toEqual([40, 200, 40, 200]);
    expect(items[2]?.image).toBe(items[0]?.image);
    expect(items.map(({ name }) => name)).toEqual(['3', '7', '9', '11']);
  });

  it('takes the orders that the table has, those of a question together', () => {
    const published = table(
      ['5', 'q', 'x', 'y', '', 'A', long, 'dev'],
      ['6', 'r', 'x', 'y', '', 'B', long, 'dev'],
      ['1000005', 'q', 'y', 'x', '', 'B', '5', 'dev'],
      ['1000006', 'r', 'y', 'x', '', 'A', '6', 'dev'],
    );
    expect(
      tableItems(published, circular).map(({ name, question }) => [
        name,
        question?.item,
        question?.turn,
        question?.answer,
      ]),
    ).toEqual([
      ['5-0', '5', 0, 'A'],
      ['5-1', '5', 1, 'B'],
      ['6-0', '6', 0, 'B'],
      ['6-1', '6', 1, 'A'],
    ]);
  });

  it('takes one split', () => {
    const mixed = table(['1', 'q', 'x', 'y', '', 'A', long, 'dev'], ['2', 'q', 'x', 'y', '', '', long, 'test']);
    expect(tableItems(mixed, { ...circular, split: 'dev' })).toHaveLength(2);
    expect(() => tableItems(mixed, { ...circular, split: 'val' })).toThrow(
      `${mixed}  rows: expected some with the split "val"; got none`,
    );
    expect(() => tableItems(mixed, circular)).toThrow(
      `${mixed}  row 2: expected the letter of an option as answer; got ""; way out: split: dev`,
    );
  });

  it.each([
    [['1', 'q', 'x', 'y', '', 'C', long, 'dev'], 'row 1: expected the letter of an option as answer; got "C"'],
    [
      ['1', 'q', 'x', 'y', '', 'A', '8', 'dev'],
      'row 1: expected a picture as base64, or the index of a row with one; got "8"',
    ],
  ])('refuses %j', (record, message) => expect(() => tableItems(table(record), circular)).toThrow(message));

  it('refuses a table of other columns', () => {
    const other = placed({ 't.tsv': 'index\tquestion\tA\tB\n' });
    expect(() => tableItems(join(other, 't.tsv'), circular)).toThrow(
      't.tsv  columns: expected answer, image; got ["index","question","A","B"]',
    );
  });

  it('has the same right option behind every letter', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 3 }), fc.nat(2), (n, at) => {
        fc.pre(at < n);
        const options = ['x', 'y', 'z'].map((option, i) => (i < n ? option : ''));
        const items = tableItems(table(['1', 'q', ...options, 'ABC'.charAt(at), long, 'dev']), circular);
        const right = items.map(({ question }) => question?.options[question.answer.charCodeAt(0) - 65]);
        expect(right).toEqual(Array.from({ length: n }, () => options[at]));
        expect(new Set(items.map(({ question }) => question?.answer)).size).toBe(n);
      }),
      { numRuns: 20 },
    );
  });
});
