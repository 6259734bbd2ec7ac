import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import { salvage, type Salvaged } from '../../src/io/arrow/shard.js';
import { goldenFolder } from './golden.js';

interface Case {
  readonly file: string;
  readonly bytes: number;
  /** null: nothing can be read. */
  readonly recover_rows: number | null;
  readonly pyarrow_error: string | null;
  readonly what: string;
}
const folder = join(goldenFolder(), 'arrow', 'damaged');
interface Expected {
  readonly cases: readonly Case[];
  readonly ids: readonly string[];
  readonly rows_per_batch: number;
  readonly batch_starts: readonly number[];
  readonly batch_ends: readonly number[];
}
const {
  cases,
  ids,
  rows_per_batch: batchRows,
  batch_starts: starts,
  batch_ends: ends,
}: Expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8'));
const caseOf = (name: string): Case => cases.find(({ file }) => file === name) as Case;
/** Ends of the batches that are whole. */
const wholeUpTo = (file: string): number => ends[(caseOf(file).recover_rows ?? 0) / batchRows - 1];
/** Bytes that a message says it has, and those that are left. */
const saidAndLeft = (file: string): readonly number[] =>
  (caseOf(file).pyarrow_error ?? '').match(/\d+/g)?.map(Number) ?? [];
const idsOf = ({ batches }: Salvaged): unknown[] => batches.flatMap((batch) => [...(batch.getChild('id') ?? [])]);

describe('salvage recovers what is whole of a damaged stream', () => {
  it('has a case for every file', () => {
    expect(cases.map(({ file }) => file).sort()).toEqual(
      readdirSync(folder)
        .filter((name) => name.endsWith('.arrow'))
        .sort(),
    );
  });

  it.each(cases.map((one) => [one.file, one.what, one] as const))(
    '%s: %s',
    (file, _, { bytes, recover_rows: rows }) => {
      const stored = readFileSync(join(folder, file));
      expect(stored).toHaveLength(bytes);
      if (rows === null) {
        expect(() => salvage(stored)).toThrow(DataError);
        return;
      }
      const got = salvage(stored);
      expect(idsOf(got)).toEqual(ids.slice(0, rows));
      expect(got.rows).toBe(rows);
    },
  );

  it('says what lies behind the end, and what stopped it', () => {
    const read = (file: string): Salvaged => salvage(readFileSync(join(folder, file)));
    expect(read('whole.arrow')).toMatchObject({ bytes: wholeUpTo('whole.arrow'), ended: true });
    expect(read('no-end-mark.arrow')).toMatchObject({ bytes: wholeUpTo('no-end-mark.arrow'), ended: false });
    expect(read('no-end-mark.arrow').damage).toBeUndefined();
    expect(read('zero-tail.arrow')).toMatchObject({ bytes: wholeUpTo('zero-tail.arrow'), ended: true });
    const [huge, left] = saidAndLeft('huge-length.arrow');
    expect(read('huge-length.arrow').damage).toBe(
      `at byte ${wholeUpTo('huge-length.arrow')} metadata of ${huge} bytes where ${left} are left`,
    );
    const [schema, there] = saidAndLeft('cut-in-schema.arrow');
    expect(() => read('cut-in-schema.arrow')).toThrow(
      `an Arrow stream: expected a schema; got at byte 0 metadata of ${schema} bytes where ${there} are left`,
    );
  });

  const whole = readFileSync(join(folder, 'whole.arrow'));

  it('gives whole batches, and only those, wherever the stream is cut', () => {
    for (let length = starts[0]; length <= whole.length; length++) {
      const got = idsOf(salvage(whole.subarray(0, length)));
      expect(got).toEqual(ids.slice(0, got.length));
      expect(got.length % batchRows).toBe(0);
    }
  });

  it('answers or refuses, soon, whatever bytes are overwritten', () => {
    const blow = fc.record({ at: fc.nat(whole.length - 1), bytes: fc.uint8Array({ minLength: 1, maxLength: 16 }) });
    fc.assert(
      fc.property(fc.array(blow, { minLength: 1, maxLength: 4 }), (blows) => {
        const bytes = Uint8Array.from(whole);
        for (const one of blows) bytes.set(one.bytes.subarray(0, bytes.length - one.at), one.at);
        try {
          expect(salvage(bytes).rows).toBeLessThanOrEqual(ids.length);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
