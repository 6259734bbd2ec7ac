import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { codeVersion, readState, superseded } from '../../../src/pipelines/store/checkpoint-state.js';
import { folder, refusal } from '../files.js';

describe('superseded', () => {
  const all = [3, 1, 2, 4].map((step) => ({ step, score: [0.1, 0.9, 0.2, 0.9][step - 1] as number | null }));
  it('keeps the newest and the best, the newer among equals', () => {
    expect(superseded(all, 1)).toEqual([3, 2, 1]);
    expect(superseded(all.slice(0, 3), 1)).toEqual([1]);
  });
  it('knows no best without scores', () =>
    expect(
      superseded(
        all.map(({ step }) => ({ step, score: null })),
        2,
      ),
    ).toEqual([2, 1]));

  it('leaves at most one more than were asked for, the newest always', () => {
    const one = fc.record({ step: fc.integer({ min: 1, max: 1000 }), score: fc.option(fc.float({ noNaN: true })) });
    fc.assert(
      fc.property(
        fc.uniqueArray(one, { selector: ({ step }) => step, minLength: 1 }),
        fc.integer({ min: 1, max: 5 }),
        (some, keep) => {
          const gone = superseded(some, keep);
          const left = some.map(({ step }) => step).filter((step) => !gone.includes(step));
          expect(left.length).toBeGreaterThanOrEqual(Math.min(keep, some.length));
          expect(left.length).toBeLessThanOrEqual(keep + 1);
          expect(left).toContain(Math.max(...some.map(({ step }) => step)));
        },
      ),
    );
  });
});

describe('readState', () => {
  it("refuses another's", async () => {
    const { path, file } = folder();
    file('state.json', '{ "step": 0 }');
    expect(await refusal(readState(path))).toMatch(
      /^.*state\.json {2}code: expected the state of a run; got another: /,
    );
  });
});

it('codeVersion is that of the package', () => expect(codeVersion()).toMatch(/^\d+\.\d+\.\d+/));
