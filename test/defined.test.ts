import { describe, expect, expectTypeOf, it } from 'vitest';

import { defined } from '../src/defined.js';

describe('defined', () => {
  it('keeps what has a value, in its order', () => {
    const given = defined({ b: 0, a: undefined, d: null, c: '' });
    expect([Object.keys(given), given]).toEqual([['b', 'd', 'c'], { b: 0, d: null, c: '' }]);
  });

  it('makes optional what may be undefined, without undefined', () => {
    const made = (some: number | undefined, all: string) => defined({ some, all });
    expectTypeOf(made).returns.toExtend<{ readonly some?: number; readonly all: string }>();
    expectTypeOf(made).returns.not.toExtend<{ readonly some: number }>();
    expect(made(undefined, 'x')).toEqual({ all: 'x' });
  });
});
