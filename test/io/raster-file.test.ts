import { execFileSync } from 'node:child_process';
import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import sharp from 'sharp';
import { describe, expect, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import { imageSize, readImageFile } from '../../src/io/image.js';
import { PICTURE_BYTES } from '../../src/io/raster-file.js';
import { folder } from '../pipelines/files.js';

const SVG =
  '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><image href="file:///etc/hostname" width="8" height="8"/></svg>';

/** What is said about a file, by who takes its pixels and by who takes its size. */
async function said(path: string): Promise<string[]> {
  const errors = await Promise.all(
    [readImageFile, imageSize].map((read) => read(path).catch((error: unknown) => error)),
  );
  for (const error of errors) expect(error).toBeInstanceOf(DataError);
  return errors.map((error) => (error as Error).message);
}

describe('what holds no pixels', () => {
  it.each([
    ['a drawing', SVG],
    ['a drawing behind a declaration', `<?xml version="1.0"?>\n${SVG}`],
    ['a packed drawing', gzipSync(SVG)],
    ['a document', '%PDF-1.7\n%âãÏÓ'],
    ['a page', '<!doctype html><img src="http://127.0.0.1/">'],
    ['PostScript', '%!PS-Adobe-3.0'],
    ['a beginning', 'GI'],
  ])('is no picture: %s', async (_, bytes) => {
    const place = folder();
    for (const message of await said(place.file('a.png', bytes)))
      expect(message).toMatch(
        /a\.png {2}image: expected a picture .*; got an unsupported image format, none of JPEG, PNG, /,
      );
  });

  it.skipIf(process.platform === 'win32')('is no picture: a pipe, which never ends', async () => {
    const path = join(folder().path, 'pipe.png');
    execFileSync('mkfifo', [path]);
    for (const message of await said(path))
      expect(message).toMatch(/pipe\.png {2}image: expected .*; got a device or a pipe$/);
  });

  it('is no picture: a folder, or a file of gigabytes', async () => {
    const place = folder();
    for (const message of await said(place.path)) expect(message).toMatch(/ {2}image: expected .*; got a folder$/);
    const path = place.file('long.png', 'x');
    truncateSync(path, PICTURE_BYTES + 1);
    for (const message of await said(path))
      expect(message).toMatch(/long\.png {2}image: expected .*; got 1073741825 bytes, more than 1073741824$/);
  });
});

describe('what holds pixels', () => {
  const image = sharp({ create: { width: 6, height: 4, channels: 3, background: '#204060' } });

  it.each(['jpeg', 'png', 'webp', 'tiff', 'gif', 'avif'] as const)('is read: %s', async (format) => {
    const path = folder().file('a', await image.clone().toFormat(format).toBuffer());
    expect(await imageSize(path)).toEqual({ width: 6, height: 4 });
    expect((await readImageFile(path)).data).toHaveLength(72);
  });

  it('is read: a TIFF with large offsets', async () => {
    const path = folder().file('a.tif', await image.clone().tiff({ bigtiff: true }).toBuffer());
    expect(await imageSize(path)).toEqual({ width: 6, height: 4 });
  });
});
