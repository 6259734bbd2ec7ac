import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readYesNo } from '../../../src/metrics/benchmarks/yes-no.js';

describe('readYesNo', () => {
  it.each([
    ['Yes', 'yes'],
    ['no.', 'no'],
    ['**Yes**, there is a dog.', 'yes'],
    ['No, the answer is not yes.', 'no'],
    ['There is no dog in the image.', 'no'],
    ['The answer is: YES', 'yes'],
    ['I would say yes or no', null],
    ['I know nothing', null],
    ['There is not a dog', null],
    ['', null],
  ])('%j is %s', (text, expected) => expect(readYesNo(text)).toBe(expected));

  it('hears the first word, whatever follows', () => {
    fc.assert(
      fc.property(fc.constantFrom('yes', 'no'), fc.string(), (word, rest) => {
        expect(readYesNo(`${word} ${rest}`)).toBe(word);
      }),
    );
  });
});
