import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { beforeEach, describe, expect, it } from 'vitest';

import { checkSeal, dropFolder, readSeal, sealFolder } from '../../src/io/sealed-folder.js';

let place: string;
let folder: string;
beforeEach(async () => {
  place = mkdtempSync(join(tmpdir(), 'segr1-'));
  folder = join(place, 'step-1');
  mkdirSync(`${folder}.making`);
  writeFileSync(join(`${folder}.making`, 'weights'), 'abc');
  await sealFolder(`${folder}.making`, folder, { step: 1 });
});

describe('sealFolder', () => {
  it('gives the folder its name, with what it holds beside the state', async () => {
    expect(readdirSync(place)).toEqual(['step-1']);
    // printf abc | sha256sum
    const sha256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    // printf '{"step":1,"files":{"weights":{"bytes":3,"sha256":"ba78…15ad"}}}' | sha256sum
    const own = 'cfa1983aad8d910d6b56b31a6e23bebefe2bebfeaee87231d867430c8da27571';
    expect(await readSeal(folder)).toEqual({ step: 1, files: { weights: { bytes: 3, sha256 } }, sha256: own });
    await checkSeal(folder);
  });

  it('seals what lies in folders of it', async () => {
    mkdirSync(join(place, 'fresh/ema'), { recursive: true });
    writeFileSync(join(place, 'fresh/ema/weights'), 'abc');
    await sealFolder(join(place, 'fresh'), join(place, 'step-2'), {});
    await checkSeal(join(place, 'step-2'));
    truncateSync(join(place, 'step-2/ema/weights'), 2);
    await expect(checkSeal(join(place, 'step-2'))).rejects.toThrow(
      'ema/weights  expected 3 bytes, as state.json has it; got 2',
    );
  });
});

describe('checkSeal', () => {
  it.each([
    ['cut short', (file: string) => truncateSync(file, 2), 'weights  expected 3 bytes, as state.json has it; got 2'],
    ['longer', (file: string) => appendFileSync(file, 'd'), 'weights  expected 3 bytes, as state.json has it; got 4'],
    ['other than it was', (file: string) => writeFileSync(file, 'abd'), 'weights  SHA-256: expected ba7816bf'],
    ['gone', (file: string) => rmSync(file), 'weights  expected 3 bytes, as state.json has it; got no such file'],
  ])('refuses a file that is %s', async (_, harm, message) => {
    harm(join(folder, 'weights'));
    await expect(checkSeal(folder)).rejects.toThrow(message);
  });

  it('refuses a folder whose state is another, whatever still fits it', async () => {
    const file = join(folder, 'state.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"step": 1', '"step": 3'));
    await expect(checkSeal(folder)).rejects.toThrow(
      /state\.json {2}SHA-256: expected \w{64}, as it says itself; got \w{64}$/,
    );
  });

  it.skipIf(process.getuid?.() === 0 || process.platform === 'win32')(
    'refuses a file that cannot be read (where the tester is not allowed to read all)',
    async () => {
      chmodSync(join(folder, 'weights'), 0);
      await expect(checkSeal(folder)).rejects.toThrow('weights  expected a file that can be read; got EACCES');
    },
  );

  it('refuses a folder whose state is cut short', async () => {
    truncateSync(join(folder, 'state.json'), 20);
    await expect(checkSeal(folder)).rejects.toThrow('state.json  expected the state of a checkpoint; got ');
  });
});

describe('dropFolder', () => {
  it('leaves nothing', async () => {
    await dropFolder(folder);
    expect([existsSync(folder), readdirSync(place)]).toEqual([false, []]);
  });
});
