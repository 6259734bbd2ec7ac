import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import { nameOfWheel, readRecord, readWheel, unpack } from '../../src/gpu/wheel.js';
import { folder } from '../pipelines/files.js';
import { writeWheel } from './wheels.js';

describe('a wheel', () => {
  it('gives back what was put in', async () => {
    const contents = fc.dictionary(
      fc.stringMatching(/^[a-z]{1,8}(\/[a-zé_.]{1,8})?$/),
      fc.uint8Array({ maxLength: 3000 }),
      {
        minKeys: 1,
        maxKeys: 5,
        noNullPrototype: true,
      },
    );
    await fc.assert(
      fc.asyncProperty(contents, async (files) => {
        const { path } = folder();
        const wheel = writeWheel(
          path,
          'some',
          '1.0',
          Object.fromEntries(Object.entries(files).map(([name, data]) => [name, Buffer.from(data)])),
        );
        const entries = await readWheel(wheel);
        const records = await readRecord(wheel, entries);
        for (const [name, data] of Object.entries(files)) {
          const entry = entries.find((one) => one.name === name);
          if (!entry) throw new Error(`expected ${name}`);
          const got = await unpack(wheel, entry, records.get(name), join(path, 'out'));
          expect(got).toEqual({ bytes: data.length, sha256: createHash('sha256').update(data).digest('hex') });
          expect(readFileSync(join(path, 'out'))).toEqual(Buffer.from(data));
        }
      }),
      { numRuns: 30 },
    );
  });

  it.each([[0], [10], [400], [-1]])('that is cut off at %i bytes is refused', async (at) => {
    const { path } = folder();
    const wheel = writeWheel(path, 'some', '1.0', { 'a.so': Buffer.alloc(2000, 'a'), 'b.so': Buffer.alloc(2000, 'b') });
    writeFileSync(wheel, readFileSync(wheel).subarray(0, at));
    await expect(readWheel(wheel)).rejects.toThrow(
      /expected a wheel, whole; got \d+ bytes without a zip archive's end/,
    );
  });

  it.each([
    [
      'another SHA-256',
      (line: string) => line.replace(/sha256=../, 'sha256=AA'),
      /expected 2000 bytes, SHA-256 \w+; got 2000 bytes, SHA-256 \w+/,
    ],
    ['another size', (line: string) => line.replace(/\d+$/, '1999'), /expected 1999 bytes/],
    ['nothing', () => '', /expected a line of RECORD; got 2000 bytes/],
  ])('of whose file RECORD says %s is refused', async (_, record, message) => {
    const { path } = folder();
    const wheel = writeWheel(path, 'some', '1.0', { 'a.so': Buffer.alloc(2000, 'a') }, record);
    const entries = await readWheel(wheel);
    const [entry] = entries;
    if (!entry) throw new Error('expected a file');
    const unpacked = unpack(wheel, entry, (await readRecord(wheel, entries)).get('a.so'), join(path, 'out'));
    await expect(unpacked).rejects.toThrow(message);
    await expect(unpacked).rejects.toBeInstanceOf(DataError);
  });

  it('says its name and version', () => {
    expect(nameOfWheel('/some/folder-1/nvidia_cudnn_cu13-9.28.1.4-py3-none-manylinux_2_27_x86_64.whl')).toEqual({
      name: 'nvidia-cudnn-cu13',
      version: '9.28.1.4',
    });
  });
});
