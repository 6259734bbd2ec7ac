import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { cellText, tsvRecords } from '../../src/io/tsv.js';

function read(text: string): string[][] {
  const bytes = Buffer.from(text);
  return tsvRecords(bytes, 'drawn.tsv').map((record) => record.map((cell) => cellText(bytes, cell)));
}

describe('tsvRecords', () => {
  it.each([
    [
      'a\tb\n1\t2\n',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    [
      'a\tb\r\n1\t2',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    [
      '\uFEFFa\tb\n\n\t\n',
      [
        ['a', 'b'],
        ['', ''],
      ],
    ],
    [
      'a\tb\n1\t',
      [
        ['a', 'b'],
        ['1', ''],
      ],
    ],
    [
      'a\tb\n"one\ttwo"\t"line\nbreak"\r\n',
      [
        ['a', 'b'],
        ['one\ttwo', 'line\nbreak'],
      ],
    ],
    [
      'a\tb\n"say ""hi"""\t""\n',
      [
        ['a', 'b'],
        ['say "hi"', ''],
      ],
    ],
    [
      'a\tb\n5" screen\tit is "so"\n',
      [
        ['a', 'b'],
        ['5" screen', 'it is "so"'],
      ],
    ],
    ['größe\t雪\n', [['größe', '雪']]],
    ['', []],
  ])('%j', (text, records) => expect(read(text)).toEqual(records));

  it.each([
    ['a\tb\n1\n', 'drawn.tsv  record 2: expected 2 values, tabs between them; got 1'],
    ['a\tb\n1\t"2\n', 'drawn.tsv  record 2: expected 2 values, tabs between them; got a quote that is not closed'],
    ['a\t"b"c\n', 'drawn.tsv  record 1: expected a header, tabs between them; got more behind a closing quote'],
  ])('refuses %j', (text, message) => expect(() => read(text)).toThrow(message));

  // As pandas writes with sep="\t": quotes around a value with a tab, a line break or a quote, quotes in it doubled.
  const written = (value: string): string => (/[\t\n\r"]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

  it('reads back whatever is written by the rules', () => {
    const value = fc.string({ unit: fc.constantFrom('a', 'é', '\t', '\n', '\r', '"', ' ', '雪') });
    fc.assert(
      fc.property(fc.array(fc.tuple(value, value), { minLength: 1 }), fc.constantFrom('\n', '\r\n'), (records, end) => {
        const text = records.map((record) => record.map(written).join('\t') + end).join('');
        expect(read(text)).toEqual(records);
      }),
    );
  });
});
