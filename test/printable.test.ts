import { describe, expect, it } from 'vitest';

import { inLine, isPrintable, printable } from '../src/printable.js';

describe('printable', () => {
  it.each([
    ['an escape sequence', 'a\u001b[2Jb', 'a\\u001b[2Jb'],
    ['a title', '\u001b]0;owned\u0007', '\\u001b]0;owned\\u0007'],
    ['the same in one sign', '\u009b31m', '\\u009b31m'],
    ['a carriage return', 'good\rbad', 'good\\u000dbad'],
    ['backspace and delete', 'a\b\u007f', 'a\\u0008\\u007f'],
    ['an override of direction', 'gnp.\u202egpj', 'gnp.\\u202egpj'],
    ['isolates and marks', '\u2066\u2069\u200e\u061c', '\\u2066\\u2069\\u200e\\u061c'],
    ['other ends of lines', '\u2028\u2029', '\\u2028\\u2029'],
    ['half a letter', '\ud83d', '\\ud83d'],
    ['a tab', 'a\tb', 'a\\u0009b'],
  ])('escapes %s', (_, text, shown) => {
    expect(printable(text)).toBe(shown);
    expect(isPrintable(text)).toBe(false);
  });

  it.each(['naïve café', '日本語', 'नमस्ते', 'שלום', '👩‍👩‍👧', 'C:\\u0041', '■ █ 42 %'])('leaves %s', (text) => {
    expect([printable(text), inLine(text), isPrintable(text)]).toEqual([text, text, true]);
  });

  it('leaves the ends of lines where there may be several', () => {
    expect([printable('a\nb'), inLine('a\nb'), isPrintable('a\nb')]).toEqual(['a\nb', 'a\\u000ab', false]);
  });

  it('leaves JSON its value', () => {
    const value = { 'a\u202e': ['\u009b\u007f', '\n', '\u2028', '\ud800'] };
    for (const indent of [undefined, 2]) {
      const text = printable(JSON.stringify(value, null, indent));
      expect(JSON.parse(text)).toEqual(value);
      expect(text).not.toMatch(/[\u007f-\u009f\u2028\u202e]/);
    }
  });
});
