import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { openAnswers } from '../../src/io/answer-cache.js';
import { folder } from '../pipelines/files.js';

describe('openAnswers', () => {
  it('asks once, also for who comes meanwhile, and knows the answer when it is opened again', async () => {
    const path = join(folder().path, 'run', 'answers.jsonl');
    const asked: string[] = [];
    const ask = (answer: string) => async (): Promise<string> => (asked.push(answer), answer);
    const cache = await openAnswers(path);
    expect(
      await Promise.all([cache.answer('q', ask('a\nb')), cache.answer('q', ask('twice')), cache.answer('p', ask('c'))]),
    ).toEqual(['a\nb', 'a\nb', 'c']);
    expect(await (await openAnswers(path)).answer('q', ask('again'))).toBe('a\nb');
    expect(asked).toEqual(['a\nb', 'c']);
  });

  it('forgets what failed, and keeps nothing of it', async () => {
    const path = join(folder().path, 'answers.jsonl');
    const cache = await openAnswers(path);
    await expect(cache.answer('q', () => Promise.reject(new Error('gone')))).rejects.toThrow('gone');
    expect(await cache.answer('q', async () => 'here')).toBe('here');
    expect(readFileSync(path, 'utf8').trim().split('\n')).toHaveLength(1);
  });

  it('asks again for a line that was cut off, and goes on behind it', async () => {
    const path = join(folder().path, 'answers.jsonl');
    await (await openAnswers(path)).answer('q', async () => 'kept');
    appendFileSync(path, '{"key":"0f');
    await (await openAnswers(path)).answer('p', async () => 'new');
    const again = await openAnswers(path);
    const known = (question: string): Promise<string> =>
      again.answer(question, () => Promise.reject(new Error('asked')));
    expect(await Promise.all([known('q'), known('p')])).toEqual(['kept', 'new']);
  });
});
