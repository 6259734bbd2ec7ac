import { execFileSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { fingerprint, fingerprintOfAll, fingerprints, fingerprintsOfFiles } from '../../src/io/fingerprint.js';
import { folder } from '../pipelines/files.js';

/** A copy with one byte changed. */
function changed(file: string, at: number): string {
  const copy = file.replace(/(\.\w+)$/, `-${at}$1`);
  copyFileSync(file, copy);
  const handle = openSync(copy, 'r+');
  writeSync(handle, Buffer.of(7), 0, 1, at);
  closeSync(handle);
  return copy;
}

describe('fingerprint', () => {
  it('is of every byte of a small file', async () => {
    const file = folder().file('model.safetensors', 'a'.repeat(3_000_000));
    const own = await fingerprint(file);
    expect(await fingerprint(file)).toBe(own);
    for (const at of [0, 1_234_567, 2_999_999]) expect(await fingerprint(changed(file, at))).not.toBe(own);
  });

  it('is of the size, and of every tensor of a large file', async () => {
    const file = join(folder().path, 'model.safetensors');
    // One tensor of 1 KB between two of 40 MB: samples of the whole file alone, 20 KB apart, would miss it.
    const sizes = { a: 40e6, small: 1000, z: 40e6 };
    let at = 0;
    const tensors = Object.entries(sizes).map(([name, bytes]) => {
      const entry = { dtype: 'U8', shape: [bytes], data_offsets: [at, at + bytes] };
      at += bytes;
      return [name, entry];
    });
    const header = Buffer.from(JSON.stringify(Object.fromEntries(tensors)));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(file, Buffer.concat([length, header]));
    truncateSync(file, 8 + header.length + at);
    const own = await fingerprint(file);
    expect(await fingerprint(changed(file, 8 + header.length + 40e6 + 500))).not.toBe(own);
    expect(await fingerprint(changed(file, 8 + header.length + 20e6))).not.toBe(own);
  });
});

describe('fingerprints', () => {
  it('are of what a model is opened from, links followed, and of nothing beside', async () => {
    const { path, file } = folder();
    for (const name of ['config.json', 'chat_template.jinja', 'README.md', '.env', 'optimizer.pt']) file(name, name);
    const blob = folder().file('blob', 'weights');
    symlinkSync(blob, join(path, 'model.safetensors'));
    mkdirSync(join(path, 'onnx'));
    file('onnx/decoder.onnx', '');
    const found = await fingerprints(path);
    expect(Object.keys(found)).toEqual([
      'chat_template.jinja',
      'config.json',
      'model.safetensors',
      'onnx/decoder.onnx',
    ]);
    expect(found['model.safetensors']).toBe(await fingerprint(blob));
  });

  it('look into a folder that is a link to the one around it once', async () => {
    const { path, file } = folder();
    file('config.json', '{}');
    symlinkSync('.', join(path, 'onnx'));
    expect(Object.keys(await fingerprints(path))).toEqual(['config.json', 'onnx/config.json']);
  });

  it('name a link to a file that is not there', async () => {
    const { path } = folder();
    symlinkSync('gone', join(path, 'model.safetensors'));
    await expect(fingerprints(path)).rejects.toThrow('model.safetensors  expected a file that can be read; got ENOENT');
  });
});

describe('fingerprintOfAll', () => {
  it('tells pictures of one size apart, wherever they differ much', async () => {
    const { file } = folder();
    const [a, b] = [file('a.bmp', 'a'.repeat(50_000)), file('b.bmp', 'b'.repeat(50_000))];
    const own = await fingerprintOfAll([a, b]);
    expect(await fingerprintOfAll([a, b])).toBe(own);
    expect(await fingerprintOfAll([b, a])).not.toBe(own);
    for (const at of [0, 25_000, 49_999]) expect(await fingerprintOfAll([changed(a, at), b])).not.toBe(own);
  });

  it.runIf(process.platform !== 'win32')(
    'takes a file that it cannot read, or a pipe, for one that is unreadable',
    async () => {
      const { path, file } = folder();
      const pipe = join(path, 'pipe.png');
      execFileSync('mkfifo', [pipe]);
      const own = await fingerprintOfAll(['/gone.png']);
      expect(await fingerprintOfAll([pipe])).toBe(own);
      expect(await fingerprintOfAll([path])).toBe(own);
      expect(await fingerprintOfAll([file('a.png', '')])).not.toBe(own);
    },
  );
});

describe('fingerprintsOfFiles', () => {
  it('tell of a file that joins a folder', async () => {
    const { path, file } = folder();
    file('a.png', 'a');
    const before = await fingerprintsOfFiles(path);
    file('b.png', 'b');
    const now = await fingerprintsOfFiles(path);
    expect([before['files, their number'], now['files, their number']]).toEqual(['1', '2']);
    expect(now['files by name']).not.toBe(before['files by name']);
  });
});
