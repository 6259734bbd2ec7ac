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
  readonly what: string;
}
const folder = join(goldenFolder(), 'arrow', 'damaged');
const { cases, ids }: { cases: readonly Case[]; ids: readonly string[] } = JSON.parse(
  readFileSync(join(folder, 'expected.json'), 'utf8'),
);
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
    expect(read('whole.arrow')).toMatchObject({ bytes: 7872, ended: true });
    expect(read('no-end-mark.arrow')).toMatchObject({ bytes: 7872, ended: false });
    expect(read('no-end-mark.arrow').damage).toBeUndefined();
    expect(read('zero-tail.arrow')).toMatchObject({ bytes: 4888, ended: true });
    expect(read('huge-length.arrow').damage).toBe('at byte 3496 metadata of 2147483632 bytes where 4376 are left');
    expect(() => read('cut-in-schema.arrow')).toThrow(
      'an Arrow stream: expected a schema; got at byte 0 metadata of 1976 bytes where 32 are left',
    );
  });

  const whole = readFileSync(join(folder, 'whole.arrow'));

  it('gives whole batches, and only those, wherever the stream is cut', () => {
    for (let length = 1984; length <= whole.length; length++) {
      const got = idsOf(salvage(whole.subarray(0, length)));
      expect(got).toEqual(ids.slice(0, got.length));
      expect(got.length % 2).toBe(0);
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
