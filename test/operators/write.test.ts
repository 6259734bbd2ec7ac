import {
  concat,
  firstValueFrom,
  from,
  lastValueFrom,
  of,
  Subject,
  take,
  throwError,
  toArray,
  type OperatorFunction,
} from 'rxjs';
import { describe, expect, expectTypeOf, it } from 'vitest';

import { write, WriteOptions, type RowSink } from '../../src/operators/write.js';
import type { Masked, Row } from '../../src/records.js';

const size = { width: 4, height: 4 };
const row = (id: string): Row => ({ id, image: { path: `${id}.png` }, task: 'segment', frame: size, original: size });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Kept extends RowSink {
  readonly log: string[];
}
/** Remembers what it was asked; each append waits for its `gate`. */
function kept(gate: (row: Row) => Promise<void> = async () => {}, closing: () => Promise<void> = async () => {}): Kept {
  const log: string[] = [];
  let closed: Promise<void> | undefined;
  return {
    log,
    async append(one) {
      log.push(`take ${one.id}`);
      await gate(one);
      log.push(`have ${one.id}`);
    },
    close() {
      closed ??= closing().then(() => void log.push('close'));
      return closed;
    },
  };
}

describe('write', () => {
  it('passes a row on once the sink has it, one at a time, in order of arrival', async () => {
    const gates = new Map<string, () => void>();
    const sink = kept((one) => new Promise((open) => gates.set(one.id, open)));
    const rows = new Subject<Row>();
    rows.pipe(write(sink)).subscribe((one) => sink.log.push(`pass ${one.id}`));
    for (const id of ['a', 'b']) rows.next(row(id));
    await turn();
    expect(sink.log).toEqual(['take a']);
    gates.get('a')?.();
    await turn();
    expect(sink.log).toEqual(['take a', 'have a', 'pass a', 'take b']);
  });

  it('closes before it completes, when the rows in hand are written', async () => {
    const sink = kept(turn);
    from([row('a'), row('b')])
      .pipe(write(sink))
      .subscribe({ next: ({ id }) => sink.log.push(`pass ${id}`), complete: () => sink.log.push('complete') });
    for (let i = 0; i < 9; i++) await turn();
    expect(sink.log).toEqual(['take a', 'have a', 'pass a', 'take b', 'have b', 'pass b', 'close', 'complete']);
  });

  it('writes marked rows too, and passes the same objects on', async () => {
    const sink = kept();
    const marked = { ...row('a'), skipped: { stage: 'load', reason: 'truncated' } };
    const [got] = await lastValueFrom(of(marked).pipe(write(sink), toArray()));
    expect(got).toBe(marked);
    expect(sink.log).toContain('have a');
  });

  it('writes the rows that came before an error, closes, then tells it', async () => {
    const sink = kept(turn);
    const rows = concat(
      from([row('a'), row('b')]),
      throwError(() => new Error('the camera fell')),
    );
    await expect(lastValueFrom(rows.pipe(write(sink)))).rejects.toThrow('the camera fell');
    expect(sink.log).toEqual(['take a', 'have a', 'take b', 'have b', 'close']);
  });

  it('closes and tells when the sink refuses a row, and takes no more', async () => {
    const sink = kept(({ id }) => (id === 'b' ? Promise.reject(new Error('disk full')) : Promise.resolve()));
    await expect(lastValueFrom(from(['a', 'b', 'c'].map(row)).pipe(write(sink)))).rejects.toThrow('disk full');
    expect(sink.log).toEqual(['take a', 'have a', 'take b', 'close']);
  });

  it('tells a failure to close at the end, and both where an error came first', async () => {
    const failing = (): Kept => kept(undefined, () => Promise.reject(new Error('folder gone')));
    await expect(lastValueFrom(of(row('a')).pipe(write(failing())))).rejects.toThrow('folder gone');
    const torn = throwError(() => new Error('the camera fell')).pipe(write(failing()));
    await expect(lastValueFrom(torn)).rejects.toThrow('the camera fell; then closing failed: folder gone');
  });

  it('closes when it is unsubscribed', async () => {
    const sink = kept();
    const rows = new Subject<Row>();
    const first = firstValueFrom(rows.pipe(write(sink), take(1)));
    rows.next(row('a'));
    await first;
    await sink.close();
    expect(sink.log).toEqual(['take a', 'have a', 'close']);
    expect(rows.observed).toBe(false);
  });

  it('takes thousands of rows at once without growing the stack', async () => {
    const rows = Array.from({ length: 5000 }, (_, i) => row(String(i)));
    expect(await lastValueFrom(from(rows).pipe(write(kept()), toArray()))).toHaveLength(5000);
  });

  it('keeps the type of its rows', () => {
    expectTypeOf(write<Masked>(kept())).toEqualTypeOf<OperatorFunction<Masked, Masked>>();
  });
});

describe('WriteOptions', () => {
  it('has defaults, and refuses what it does not know or what is out of range', () => {
    expect(WriteOptions.parse({})).toEqual({ rowsPerBatch: 100, shardMegabytes: 256 });
    expect(() => WriteOptions.parse({ rows: 1 })).toThrow('Unrecognized key');
    expect(() => WriteOptions.parse({ rowsPerBatch: 101 })).toThrow('<=100');
  });
});
