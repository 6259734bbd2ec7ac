import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readChoice } from '../../../src/metrics/benchmarks/choice.js';

const animals = ['a cat', 'a dog', 'a dog house', 'none of these'];

describe('readChoice', () => {
  it.each([
    ['A', 'A'],
    ['b', 'B'],
    ['C.', 'C'],
    ['(D)', 'D'],
    [' [B]. ', 'B'],
    ['B. a dog', 'B'],
    ['(C) a cat', 'C'],
    ['C) because it has a roof', 'C'],
    ['The answer is B', 'B'],
    ['The correct answer is: (C).', 'C'],
    ['I choose option D because', 'D'],
    ['a dog', 'B'],
    ['A dog.', 'B'],
    ['It must be (B) I think', 'B'],
    ['I can see a dog house there', 'C'],
    ['I can see a cat there', 'A'],
  ])('%j is %s', (text, expected) => expect(readChoice(text, animals)).toBe(expected));

  it.each([
    '',
    'E',
    'I do not know',
    'a cat and a dog',
    '(A) or (B)',
    'The answer is A. No, the answer is B',
    'A dogged cat',
  ])('%j is nothing', (text) => {
    expect(readChoice(text, animals)).toBeNull();
  });

  it('takes a letter of the diagram where it is no letter of an option', () => {
    expect(readChoice('F', ['E', 'F', 'G'])).toBe('B');
    expect(readChoice('A', ['B', 'A'])).toBe('A');
  });

  it('takes neither of two options that say the same', () => {
    expect(readChoice('red', ['red', 'Red', 'blue'])).toBeNull();
  });

  it('gives letters of options alone', () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.string(), { minLength: 1, maxLength: 6 }), (text, options) => {
        expect([null, ...['A', 'B', 'C', 'D', 'E', 'F'].slice(0, options.length)]).toContain(readChoice(text, options));
      }),
    );
  });
});
