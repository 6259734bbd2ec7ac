import fc from 'fast-check';

import type { Verdict } from '../../../src/metrics/benchmarks/verdict.js';

/** `yes/no` is a question whose answer is yes, answered with no; `?` is unread. */
export function verdict(told: string, { part = '', item = 'one', turn = 0 } = {}): Verdict {
  const [expected = '', given = ''] = told.split('/');
  return { part, item, turn, expected, given: given === '?' ? null : given };
}

/** Any answers with these words. */
export function anyVerdicts(words: readonly string[], parts: readonly string[] = ['']): fc.Arbitrary<Verdict[]> {
  return fc.array(
    fc.record({
      part: fc.constantFrom(...parts),
      item: fc.constantFrom('one', 'two', 'three'),
      turn: fc.nat(3),
      expected: fc.constantFrom(...words),
      given: fc.constantFrom(...words, null),
    }),
    { minLength: 1, maxLength: 30 },
  );
}
