import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { RowTracker } from '../../../src/pipelines/run/row-tracker.js';

const rows = (...ids: string[]) => ids.map((id) => ({ id }));

describe('RowTracker', () => {
  it('does what its example says', () => {
    const first = new RowTracker();
    for (const row of rows('a', 'b', 'c')) first.enter(row);
    first.awaitRows(['a', 'b']);
    expect(['a', 'c', 'd'].map((id) => first.stateOf(id))).toEqual(['awaited', 'in flight', undefined]);
    first.leave({ id: 'a' });
    expect(first.awaiting).toBe(1);
    first.leave({ id: 'b' });
    expect([first.awaiting, first.source]).toEqual([0, { cursor: 3, pending: ['c'] }]);
    const before = { source: first.source, rows: first.counts };

    const second = new RowTracker(before);
    expect([second.stateOf('c'), second.source, second.rowsIn]).toEqual(['pending', before.source, 2]);
    second.enter({ id: 'c' });
    expect([second.stateOf('c'), second.source.cursor]).toEqual(['in flight', 3]);
    second.enter({ id: 'd' });
    expect([second.source, second.rowsIn]).toEqual([{ cursor: 4, pending: ['c', 'd'] }, 4]);
  });

  it('awaits only rows that are in flight, each once', () => {
    const tracker = new RowTracker();
    for (const row of rows('a', 'b')) tracker.enter(row);
    tracker.leave({ id: 'a' });
    tracker.awaitRows(['a', 'b', 'b', 'z']);
    expect(tracker.awaiting).toBe(1);
  });

  it('counts marked rows by stage and reason, faults, and tokens', () => {
    const tracker = new RowTracker();
    for (const row of rows('a', 'b')) tracker.enter(row);
    tracker.leave({ id: 'a', skipped: { stage: 'load', reason: 'no mask' } });
    const completions = [[1, 2], [3]].map((tokens) => ({ text: '', tokens, logProbs: [], finish: 'stop' as const }));
    tracker.leave({ id: 'b', completions, parseReasons: ['no-box', null] });
    expect([tracker.countFault(), tracker.counts]).toEqual([
      1,
      { rowsOut: 2, marks: 1, faults: 1, tokens: 3, unread: { 'no-box': 1 }, marked: { load: { 'no mask': 1 } } },
    ]);
  });

  it('refuses a row that is in flight already, and one that is not', () => {
    const tracker = new RowTracker({
      source: { cursor: 1, pending: ['p'] },
      rows: { rowsOut: 0, marks: 0, faults: 0, tokens: 0, unread: {}, marked: {} },
    });
    tracker.enter({ id: 'a' });
    expect(() => tracker.enter({ id: 'a' })).toThrow('a  row: expected an id of its own');
    for (const id of ['p', 'z'])
      expect(() => tracker.leave({ id })).toThrow(`${id}  row: expected one that is in flight`);
  });

  it('says who kept a row that never left', () => {
    const tracker = new RowTracker();
    tracker.enter({ id: 'a' });
    const kept = { stage: 'mask', rowsIn: 1, rowsOut: 0, busy: () => 0, blocked: () => 0 };
    expect(tracker.missing([kept])).toBe('rows: expected 1 out as went in; got 0; mask took 1 and gave 0 (a)');
    tracker.leave({ id: 'a' });
    expect(tracker.missing([kept])).toBeUndefined();
  });

  it('gives each row once over two runs, wherever the first is broken off', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 40 }), (moves) => {
        const first = new RowTracker();
        let entered = 0;
        const inFlight: string[] = [];
        const left: string[] = [];
        for (const enters of moves) {
          if (enters) {
            inFlight.push(String(entered));
            first.enter({ id: String(entered++) });
          } else if (inFlight.length > 0) {
            const id = inFlight.splice(inFlight.length >> 1, 1)[0];
            first.leave({ id });
            left.push(id);
          }
        }
        const { cursor, pending } = first.source;
        expect(cursor).toBe(entered);
        expect([...left, ...pending].toSorted()).toEqual(
          Array.from({ length: entered }, (_, i) => String(i)).toSorted(),
        );
      }),
    );
  });
});
