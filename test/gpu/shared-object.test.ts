import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { thisMachine } from '../../src/gpu/machine.js';
import { commitOf, providerVersion } from '../../src/gpu/provider.js';
import { neededBy, textAfter } from '../../src/gpu/shared-object.js';
import { folder } from '../pipelines/files.js';
import { put } from './machines.js';
import { providerFile, sharedObject } from './shared-objects.js';

const own = join(thisMachine().onnxruntime.folder, 'libonnxruntime.so.1');

function file(content: string | Buffer): string {
  const { path } = folder();
  put(path, { file: content });
  return join(path, 'file');
}

describe('neededBy', () => {
  it('gives the names in their order', () => {
    expect(neededBy(file(sharedObject(['libb.so.2', 'liba.so.1'])))).toEqual(['libb.so.2', 'liba.so.1']);
  });
  // readelf -d of onnxruntime-node 1.30.0
  it('reads a library that a linker made', () => {
    expect(neededBy(own)).toEqual([
      'libdl.so.2',
      'librt.so.1',
      'libpthread.so.0',
      'libstdc++.so.6',
      'libm.so.6',
      'libgcc_s.so.1',
      'libc.so.6',
      'ld-linux-x86-64.so.2',
    ]);
  });
  it.each([
    ['a text', 'none'],
    ['an empty file', ''],
    ['a head alone', sharedObject(['liba.so']).subarray(0, 40)],
  ])('gives nothing of %s', (_, content) => {
    expect(neededBy(file(content))).toBeUndefined();
  });
});

describe('textAfter', () => {
  const chunk = 1 << 23;
  it.each([-10, -6, -1, 0, 1])(
    'finds a text that begins %i bytes from where one chunk ends and the next begins',
    (offset) => {
      const content = Buffer.alloc(2 * chunk, 'x');
      content.write('mark:text;', chunk + offset);
      expect(textAfter(file(content), 'mark:', /^(\w+);/)).toBe('text');
    },
  );
  it('passes over marks that something else follows', () => {
    expect(textAfter(file('mark:; mark:a; mark:b;'), 'mark:', /^(\w+);/)).toBe('a');
    expect(textAfter(file('mark:; mark'), 'mark:', /^(\w+);/)).toBeUndefined();
  });
});

describe('what a build says of itself', () => {
  it('is a commit in onnxruntime-node', () => {
    expect(commitOf(own)).toMatch(/^[0-9a-f]{9}$/);
  });
  it("is a version in a provider, and no other library's", () => {
    expect(providerVersion(file(providerFile('1.30.0')))).toBe('1.30.0');
    expect(providerVersion(file('\x001.3.2\0'))).toBeUndefined();
  });
});
