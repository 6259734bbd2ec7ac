import { concat, from, lastValueFrom, of, throwError, toArray, type OperatorFunction } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, expectTypeOf, it } from 'vitest';

import { answer, readAnswer, type BenchmarkReport } from '../../src/operators/answer.js';
import type { Answered, Question, RolledOut } from '../../src/records.js';
import { marked, sample } from './stub-policy.js';

const pope: Question = { benchmark: 'pope', part: 'random', item: 'one', turn: 0, options: [], answer: 'yes' };

function wrote(id: string, text: string, question: Question | undefined = pope): RolledOut {
  return {
    ...sample(id),
    ...(question && { question }),
    prompt: id,
    promptTokens: [],
    policyVersion: 0,
    completions: [{ text, tokens: [1], logProbs: [0], finish: 'stop' }],
  };
}

describe('answer', () => {
  it('says what was answered and whether that is right, and tells what it came to when all have passed', async () => {
    const told: BenchmarkReport[] = [];
    const rows = [
      wrote('a', 'Yes.'),
      wrote('b', 'no'),
      wrote('c', 'perhaps'),
      { ...marked('d'), question: pope } as unknown as RolledOut,
    ];
    const all = await lastValueFrom(
      from(rows).pipe(
        answer((report) => told.push(report)),
        toArray(),
      ),
    );
    expect(all.map(({ id, answer: given, correct }) => [id, given, correct])).toEqual([
      ['a', 'yes', 1],
      ['b', 'no', 0],
      ['c', null, 0],
      ['d', undefined, undefined],
    ]);
    expect(all[3]).toBe(rows[3]);
    const scores = { accuracy: 1 / 3, precision: 1, recall: 1 / 3, f1: 0.5, yesRate: 1 / 3 };
    expect(told).toEqual([
      { benchmark: 'pope', questions: 3, unread: 1, marked: 1, scores, parts: { random: scores } },
    ]);
  });

  it('lets rows without a question by, and counts anew for each subscriber', async () => {
    const told: BenchmarkReport[] = [];
    const bare = { ...wrote('a', 'yes', undefined), question: undefined } as unknown as RolledOut;
    const answered = of(bare, wrote('b', 'yes')).pipe(answer((report) => told.push(report)));
    expect(await lastValueFrom(answered.pipe(toArray()))).toMatchObject([bare, { answer: 'yes', correct: 1 }]);
    await lastValueFrom(answered);
    expect(told.map(({ questions }) => questions)).toEqual([1, 1]);
  });

  it('emits each row when it arrives and completes with its source', () => {
    new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(({ cold, expectObservable }) => {
      const a = wrote('a', 'yes');
      const rows = cold('-a-a-|', { a });
      expectObservable(rows.pipe(answer(() => {}))).toBe('-b-b-|', { b: { ...a, answer: 'yes', correct: 1 } });
    });
  });

  it('tells nothing of a source that fails', async () => {
    const told: BenchmarkReport[] = [];
    const failing = concat(
      of(wrote('a', 'yes')),
      throwError(() => new Error('cut off')),
    );
    await expect(lastValueFrom(failing.pipe(answer((report) => told.push(report))))).rejects.toThrow('cut off');
    expect(told).toEqual([]);
  });

  it('widens the row by two columns', () => {
    expectTypeOf(answer<RolledOut>(() => {})).toEqualTypeOf<OperatorFunction<RolledOut, RolledOut & Answered>>();
  });
});

describe('readAnswer', () => {
  const animals = { options: ['cat', 'dog'] };

  it.each([
    ['<think>No or yes? (A)</think> <answer>B</answer>', 'B'],
    ['<think>It barks.</think>\nB. dog', 'B'],
    ['<answer>A', 'A'],
    ['It barks, so it is a dog', 'B'],
    ['<think>It is a dog', null],
    ['<think>a dog</think> <bbox>[1,2,3,4]</bbox>', null],
  ])('%j is %s', (text, expected) => expect(readAnswer(text, animals)).toBe(expected));

  it('reads yes and no where there are no options', () =>
    expect(readAnswer('<think>no</think>Yes', { options: [] })).toBe('yes'));
});
