import { describe, expect, it } from 'vitest';

import { recent } from '../../../src/models/sam2/embeddings.js';

const itself = async <T>(value: T): Promise<T> => value;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('recent', () => {
  it('makes once what is asked twice at once, and keeps what fits, the least recently asked for going first', async () => {
    const made: string[] = [];
    const dropped: string[] = [];
    const values = recent<string>(20, 10, (value) => dropped.push(value));
    const ask = (key: string): Promise<string> => values.use(key, async () => (made.push(key), key), itself);
    await Promise.all([ask('a'), ask('a')]);
    await ask('b');
    await ask('a');
    await ask('c');
    await settled();
    expect([made, dropped]).toEqual([['a', 'b', 'c'], ['b']]);
    await ask('a');
    await ask('b');
    await settled();
    expect([made, dropped]).toEqual([
      ['a', 'b', 'c', 'b'],
      ['b', 'c'],
    ]);
  });

  it('keeps nothing where nothing fits', async () => {
    let made = 0;
    const dropped: number[] = [];
    const values = recent<number>(9, 10, (value) => dropped.push(value));
    for (const _ of [1, 2]) await values.use('a', async () => made++, itself);
    await settled();
    expect([made, dropped]).toEqual([2, [0, 1]]);
  });

  it('drops nothing that is in use', async () => {
    const dropped: string[] = [];
    const values = recent<string>(10, 10, (value) => dropped.push(value));
    let through = (): void => {};
    const first = values.use(
      'a',
      async () => 'a',
      () => new Promise<void>((resolve) => (through = resolve)),
    );
    await values.use('b', async () => 'b', itself);
    await settled();
    expect(dropped).toEqual([]);
    through();
    await first;
    await settled();
    expect(dropped).toEqual(['a']);
  });

  it('forgets a failure, and keeps a value whose use fails', async () => {
    const values = recent<number>(100, 10, () => undefined);
    await expect(values.use('a', () => Promise.reject(new Error('torn')), itself)).rejects.toThrow('torn');
    await expect(
      values.use(
        'a',
        async () => 1,
        () => Promise.reject(new Error('busy')),
      ),
    ).rejects.toThrow('busy');
    expect(await values.use('a', async () => 2, itself)).toBe(1);
  });
});
