import { describe, expect, it } from 'vitest';

import { namedMasks, resultStem, withoutResults } from '../../src/io/segment-results.js';

const result = (name: string): string[] => [`${name}.mask.png`, `${name}.overlay.png`];

describe('namedMasks', () => {
  it.each<[string, string[], [string, string][]]>([
    [
      'plain masks',
      ['a.png', 'b.v2.jpg'],
      [
        ['a', 'a.png'],
        ['b.v2', 'b.v2.jpg'],
      ],
    ],
    [
      'results',
      [...result('a'), ...result('b')],
      [
        ['a', 'a.mask.png'],
        ['b', 'b.mask.png'],
      ],
    ],
    ['results beside their images', ['a.jpg', ...result('a')], [['a', 'a.mask.png']]],
    [
      'masks without overlays',
      ['a.mask.png', 'b.mask.png'],
      [
        ['a', 'a.mask.png'],
        ['b', 'b.mask.png'],
      ],
    ],
    [
      'a mask beside another of the name',
      ['a.mask.png', 'a.png'],
      [
        ['a.mask', 'a.mask.png'],
        ['a', 'a.png'],
      ],
    ],
    [
      'two of one name',
      ['a.jpg', 'a.png'],
      [
        ['a', 'a.jpg'],
        ['a', 'a.png'],
      ],
    ],
    [
      'a name that is an ending',
      ['.mask.png', 'mask.png'],
      [
        ['.mask', '.mask.png'],
        ['mask', 'mask.png'],
      ],
    ],
  ])('of %s', (_, files, expected) => expect(namedMasks(files)).toEqual(expected));

  // 255 bytes is the longest name of a file.
  it.each(['x'.repeat(251), '\u00e9'.repeat(125), '😀'.repeat(62)])(
    'knows the result of a long name by its image',
    (name) => {
      const [[truth]] = namedMasks([`${name}.png`]);
      const [mask, overlay] = result(resultStem(name));
      expect(Buffer.byteLength(overlay)).toBeLessThanOrEqual(255);
      expect(namedMasks([mask, overlay])).toEqual([[truth, mask]]);
      expect(namedMasks([`${name}.jpg`, mask, overlay])).toEqual([[truth, mask]]);
      expect(withoutResults([`${name}.jpg`, mask, overlay])).toEqual([`${name}.jpg`]);
    },
  );
});

describe('withoutResults', () => {
  it('leaves out what was written for an image that is there', () => {
    expect(withoutResults(['a.jpg', ...result('a')])).toEqual(['a.jpg']);
    expect(withoutResults(result('a'))).toEqual(result('a'));
    expect(withoutResults(['a.jpg', 'a.mask.png'])).toEqual(['a.jpg', 'a.mask.png']);
  });
});
