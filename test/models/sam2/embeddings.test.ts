import { describe, expect, it } from 'vitest';

import { recent } from '../../../src/models/sam2/embeddings.js';

describe('recent', () => {
  it('makes once what is asked twice at once, and keeps what fits, the least recently asked for going first', async () => {
    const made: string[] = [];
    const values = recent<string>(20, 10);
    const ask = (key: string): Promise<string> => values.get(key, async () => (made.push(key), key));
    await Promise.all([ask('a'), ask('a')]);
    await ask('b');
    await ask('a');
    await ask('c');
    expect(made).toEqual(['a', 'b', 'c']);
    await ask('a');
    await ask('b');
    expect(made).toEqual(['a', 'b', 'c', 'b']);
  });
  it('keeps nothing where nothing fits', async () => {
    let made = 0;
    const values = recent<number>(9, 10);
    for (const _ of [1, 2]) await values.get('a', async () => made++);
    expect(made).toBe(2);
  });
  it('forgets a failure', async () => {
    const values = recent<number>(100, 10);
    await expect(values.get('a', () => Promise.reject(new Error('torn')))).rejects.toThrow('torn');
    expect(await values.get('a', async () => 1)).toBe(1);
  });
});
