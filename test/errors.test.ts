import { describe, expect, it } from 'vitest';

import { messageOf, shown } from '../src/errors.js';

const circle: unknown[] = [];
circle.push(circle);
const deep = (): unknown => Array.from({ length: 30_000 }).reduce((inner: unknown) => [inner], 1);

describe('shown', () => {
  it.each([
    [undefined, 'nothing'],
    [null, 'null'],
    ['a "b"', '"a \\"b\\""'],
    [{ a: [1, true, undefined] }, '{"a":[1,true,null]}'],
    [1n, '1n'],
    [[1n], '[ 1n ]'],
    [NaN, 'NaN'],
    [[-Infinity], '[ -Infinity ]'],
    [Symbol('x'), 'Symbol(x)'],
    [() => 1, 'function'],
    [Promise.resolve(1), 'Promise { 1 }'],
    [new Map([[1, 2]]), 'Map(1) { 1 => 2 }'],
    ['x'.repeat(99), `"${'x'.repeat(76)}...`],
  ])('writes %o', (value, text) => {
    expect(shown(value)).toBe(text);
  });

  it('writes what turns in a circle, or is deep', () => {
    expect(shown(circle)).toBe('<ref *1> [ [Circular *1] ]');
    expect(shown(deep())).toBe('[ [ [Array] ] ]');
  });

  it('writes what throws when it is looked at', () => {
    const trap = (): never => {
      throw new Error('looked');
    };
    expect(shown(new Proxy({}, { getPrototypeOf: trap, ownKeys: trap }))).toMatch(/^(object|\{\})$/);
    expect(
      shown({
        get a() {
          return trap();
        },
      }),
    ).toBe('object');
  });
});

describe('messageOf', () => {
  it.each([
    [new TypeError('lost'), 'lost'],
    ['lost', 'lost'],
    [7n, '7n'],
    [null, 'null'],
    [undefined, 'nothing'],
    [{ a: 1 }, '{"a":1}'],
  ])('tells of %o, thrown', (error, text) => {
    expect(messageOf(error)).toBe(text);
  });
});
