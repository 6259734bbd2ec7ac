import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { LruCache } from '../src/lru-cache.js';

describe('LruCache', () => {
  it('lets the least recently used go, and says which', () => {
    const gone: string[] = [];
    const cache = new LruCache<string>(
      3,
      () => 1,
      (value) => gone.push(value),
    );
    for (const key of ['a', 'b', 'c']) cache.set(key, key.toUpperCase());
    expect([cache.get('a'), cache.peek('b')]).toEqual(['A', 'B']);
    cache.set('d', 'D');
    cache.set('c', 'C2');
    cache.set('e', 'E');
    expect([gone, cache.peek('a'), cache.peek('c')]).toEqual([['B', 'A'], undefined, 'C2']);
  });

  it('keeps nothing that is larger than the budget, and drops nothing for it', () => {
    const cache = new LruCache<string>(4, (value) => value.length);
    cache.set('a', 'xx');
    cache.set('b', 'xxxxx');
    expect([cache.peek('a'), cache.peek('b')]).toEqual(['xx', undefined]);
    cache.set('a', 'xxxxx');
    expect(cache.peek('a')).toBeUndefined();
  });

  it('never holds more than the budget, and always what was set last where it fits', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.integer({ min: 1, max: 6 })), { maxLength: 50 }), (sets) => {
        const cache = new LruCache<number>(10, (value) => value);
        for (const [name, value] of sets) {
          cache.set(name, value);
          expect(cache.peek(name)).toBe(value);
          const held = ['a', 'b', 'c', 'd', 'e'].map((one) => cache.peek(one) ?? 0);
          expect(held.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(10);
        }
      }),
    );
  });
});
