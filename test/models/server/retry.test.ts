import { describe, expect, it } from 'vitest';

import { pauseBefore, retryAfter } from '../../../src/models/server/retry.js';

describe('retryAfter', () => {
  it.each([
    ['3', 3000],
    ['0', 0],
    ['1.5', 1500],
    [' 7 ', 7000],
    ['Thu, 01 Jan 1970 00:00:10 GMT', 8000],
    ['Thursday, 01-Jan-70 00:00:10 GMT', 8000],
    ['Thu, 01 Jan 1970 00:00:01 GMT', 0],
    ['-5', undefined],
    ['NaN', undefined],
    ['Infinity', undefined],
    ['1e400', undefined],
    ['9'.repeat(400), undefined],
    ['0x10', undefined],
    ['7, 9', undefined],
    ['soon', undefined],
    ['Mon, 99 Foo 2026', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%s is %s ms', (header, pause) => expect(retryAfter(header, 2000)).toBe(pause));

  it.each([
    ['a moment in seconds', '1764300030', 30_000],
    ['a moment in milliseconds', '1764300030000', 30_000],
    ['one that has passed', '1764299970', 0],
    ['seconds, far from now', '1000000000', 1e12],
  ])('reads %s', (_, header, pause) => expect(retryAfter(header, 1_764_300_000_000)).toBe(pause));
});

describe('pauseBefore', () => {
  it('is what the server asks for, and at least 1 s, 2 s, 4 s …, within bounds', () => {
    expect([0, 1, 2, 5, 6, 5000].map((tried) => pauseBefore(tried, undefined, 60_000).ms)).toEqual([
      1000, 2000, 4000, 32_000, 60_000, 60_000,
    ]);
    expect(pauseBefore(0, 7000, 60_000)).toEqual({ ms: 7000 });
    expect(pauseBefore(2, 0, 60_000)).toEqual({ ms: 4000 });
    expect(pauseBefore(0, 1e12, 60_000)).toEqual({ ms: 60_000, asked: 1e12 });
  });
});
