import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { embeddedReference, readEmbedded } from '../../src/io/embedded.js';
import { encodePng, imageSize, readImageFile } from '../../src/io/image.js';
import { folder } from '../pipelines/files.js';

const picture = { width: 2, height: 1, data: Uint8Array.of(255, 0, 0, 0, 0, 255) };

describe('a picture inside a table', () => {
  it('is read by its reference, as a file of its own would be', async () => {
    const path = join(folder().path, 'some.tsv');
    const text = (await encodePng(picture)).toString('base64');
    writeFileSync(path, `index\timage\n1\t${text}\n`);
    const reference = embeddedReference(path, { start: 14, end: 14 + text.length });
    expect(reference).toBe(`${path}#14-${14 + text.length}`);
    expect(await imageSize(reference)).toEqual({ width: 2, height: 1 });
    expect(await readImageFile(reference)).toEqual(picture);
  });

  it('is no picture where the bytes are others', async () => {
    const path = folder().file('some.tsv', 'index\timage\n1\tAAAA\n');
    await expect(readImageFile(embeddedReference(path, { start: 14, end: 18 }))).rejects.toThrow(
      'image: expected a picture that can be decoded to its end',
    );
    await expect(imageSize(embeddedReference(`${path}.tsv`, { start: 0, end: 4 }))).rejects.toThrow(
      'image: expected a picture with a readable header; got ENOENT: no such file or directory',
    );
  });

  it.each([
    ['0-99999999999999', 'a picture from 0 to 99999999999999, in a table of 20 bytes'],
    ['0-4000000000', 'a picture from 0 to 4000000000, in a table of 20 bytes'],
    ['18-4', 'a picture from 18 to 4, in a table of 20 bytes'],
    ['19-21', 'a picture from 19 to 21, in a table of 20 bytes'],
  ])('is no picture outside of its table: %s', async (place, got) => {
    const path = folder().file('some.tsv', 'index\timage\n1\tAAAA\n'.padEnd(20, ' '));
    await expect(readImageFile(`${path}#${place}`)).rejects.toThrow(
      `image: expected a file that can be read; got ${got}`,
    );
  });

  it('is none where a file is named', async () => {
    expect(await readEmbedded('photos/cat#1-2.jpg')).toBeUndefined();
  });
});
