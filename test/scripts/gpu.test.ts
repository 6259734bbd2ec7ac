import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const script = (name: string): string => fileURLToPath(new URL(`../../scripts/gpu/${name}`, import.meta.url));
const has = (program: string): boolean => !spawnSync(program, ['--version']).error;
const left = (...programs: readonly string[]): string =>
  programs
    .filter((program) => !has(program))
    .map((program) => `, left out: there is no ${program}`)
    .join('');

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'segr1-kit-'))));
afterAll(() => rm(folder, { recursive: true }));

/** One piece of code in a container: `kind` 1 is PTX, 2 machine code. */
function piece(kind: 1 | 2, architecture: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(64);
  head.writeUInt16LE(kind, 0);
  head.writeUInt32LE(head.length, 4);
  head.writeBigUInt64LE(BigInt(payload.length), 8);
  head.writeUInt32LE(architecture, 28);
  return Buffer.concat([head, payload]);
}

function container(...pieces: readonly Buffer[]): Buffer {
  const all = Buffer.concat(pieces);
  const head = Buffer.alloc(16);
  head.writeUInt32LE(0xba55ed50, 0);
  head.writeUInt16LE(1, 4);
  head.writeUInt16LE(head.length, 6);
  head.writeBigUInt64LE(BigInt(all.length), 8);
  return Buffer.concat([head, all]);
}

/** Machine code as the compiler leaves it, with a section for each kernel; as long as a multiple of 8. */
const code = (...kernels: readonly string[]): Buffer => {
  const text = `\x7fELF\0${kernels.map((name) => `.text.${name}\0`).join('')}`;
  return Buffer.from(text.padEnd(8 * Math.ceil(text.length / 8), '\0'), 'latin1');
};

/** A shared object with two sections beside that of names. */
function library(fatbin: Buffer, host: Buffer): Buffer {
  const names = ['', '.nv_fatbin', '.text', '.shstrtab'];
  const table = Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1');
  const contents = [Buffer.alloc(0), fatbin, host, table];
  const head = Buffer.alloc(64);
  head.write('\x7fELF', 'latin1');
  let at = head.length;
  const headers = contents.map((content, i) => {
    const header = Buffer.alloc(64);
    header.writeUInt32LE(
      names.slice(0, i).reduce((sum, name) => sum + name.length + 1, 0),
      0,
    );
    header.writeBigUInt64LE(BigInt(at), 24);
    header.writeBigUInt64LE(BigInt(content.length), 32);
    at += content.length;
    return header;
  });
  head.writeBigUInt64LE(BigInt(at), 0x28);
  head.writeUInt16LE(64, 0x3a);
  head.writeUInt16LE(headers.length, 0x3c);
  head.writeUInt16LE(names.length - 1, 0x3e);
  return Buffer.concat([head, ...contents, ...headers]);
}

describe.skipIf(!has('python3'))(`prune.py${left('python3')}`, () => {
  const pieces = {
    wanted: code('_Z3addPf', '_Z11EmptyKernelv'),
    mixed: code('_Z7moeGemmPf', '_Z3mulPf'),
    never: code('_Z7moeGemmPf', '_Z11EmptyKernelv'),
    older: code('_Z3addPf'),
    assembly: Buffer.from('.version 9.0    ', 'latin1'),
  };
  const host = Buffer.from('_Z7moeGemmPf is called here      ');
  const made = library(
    Buffer.concat([
      container(piece(2, 80, pieces.older), piece(2, 90, pieces.wanted), piece(1, 90, pieces.assembly)),
      Buffer.alloc(8),
      container(piece(2, 90, pieces.mixed), piece(2, 90, pieces.never)),
    ]),
    host,
  );
  const bytes = (...names: readonly (keyof typeof pieces)[]): number =>
    names.reduce((sum, name) => sum + pieces[name].length, 0);

  async function pruned(...options: readonly string[]): Promise<{ readonly told: unknown; readonly file: Buffer }> {
    const [from, to] = ['from.so', 'to.so'].map((name) => join(folder, name)) as [string, string];
    await writeFile(from, made);
    const told = JSON.parse(
      execFileSync('python3', [script('prune.py'), from, to, ...options], { encoding: 'utf8' }),
    ) as unknown;
    return { told, file: readFileSync(to) };
  }

  it('overwrites machine code of other architectures, and of kernels that are never launched', async () => {
    const { told, file } = await pruned();
    expect(told).toEqual({
      kept: bytes('wanted', 'mixed'),
      dropped: bytes('older', 'never', 'assembly'),
      architectures: [90],
    });
    expect(file).toHaveLength(made.length);
    for (const stays of [pieces.wanted, pieces.mixed, host]) expect(file.includes(stays)).toBe(true);
    expect(file.includes(pieces.assembly)).toBe(false);
    const expected = Buffer.from(made);
    for (const gone of [pieces.older, pieces.never, pieces.assembly]) {
      const at = made.indexOf(gone);
      expected.fill(0, at, at + gone.length);
    }
    expect(file.equals(expected)).toBe(true);
  });

  it('keeps what it is told to', async () => {
    expect((await pruned('--all-kernels')).told).toEqual({
      kept: bytes('wanted', 'mixed', 'never'),
      dropped: bytes('older', 'assembly'),
      architectures: [90],
    });
    expect((await pruned('--arch', '80,90')).told).toMatchObject({
      kept: bytes('wanted', 'mixed', 'older'),
      architectures: [80, 90],
    });
  });

  it('refuses an architecture that is not there, and to drop what was launched', async () => {
    await expect(pruned('--arch', '75')).rejects.toThrow('expected some of [80, 90], which the file has; got 75');
    const log = join(folder, 'cuda.log');
    await writeFile(log, 'name 1 _Z3addPf\nkernel 1\nname 2 _Z7moeGemmPf\n');
    expect((await pruned('--launched', log)).told).toMatchObject({ kept: bytes('wanted', 'mixed') });
    await writeFile(log, 'name 1 _Z4gonePf\n');
    await expect(pruned('--launched', log)).rejects.toThrow('got a file without _Z4gonePf');
  });
});

describe.skipIf(left('bash', 'tar', 'xz', 'sha256sum') !== '')(
  `pack.sh and unpack.sh${left('bash', 'tar', 'xz', 'sha256sum')}`,
  () => {
    const files: Readonly<Record<string, Buffer>> = {
      'app/one.txt': Buffer.from('one\n'),
      'app/deep/two words.txt': Buffer.from('two\n'),
      // More than a part, for it can't be compressed.
      noise: Buffer.concat(Array.from({ length: 40_000 }, (_, i) => createHash('sha256').update(String(i)).digest())),
    };
    const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
    let out: string;
    beforeAll(async () => {
      const tree = join(folder, 'tree');
      out = join(folder, 'parts');
      for (const [path, data] of Object.entries(files)) {
        await mkdir(join(tree, path, '..'), { recursive: true });
        await writeFile(join(tree, path), data);
      }
      execFileSync(script('pack.sh'), ['--tree', tree, '--part', '1', '--out', out], { stdio: 'pipe' });
    });

    it('leaves parts, and a manifest of them and of every file', () => {
      const manifest = JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8')) as {
        readonly parts: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
        readonly files: unknown;
      };
      expect(readdirSync(out).toSorted()).toEqual(['kit.aa', 'kit.ab', 'manifest.json', 'parts.sha256', 'unpack.sh']);
      expect(manifest.parts.map(({ name }) => name)).toEqual(['kit.aa', 'kit.ab']);
      for (const { name, bytes, sha256: told } of manifest.parts) {
        const data = readFileSync(join(out, name));
        expect([data.length, sha256(data)]).toEqual([bytes, told]);
        expect(bytes).toBeLessThanOrEqual(2 ** 20);
      }
      expect(manifest.files).toEqual(
        Object.entries(files)
          .map(([path, data]) => ({ path, bytes: data.length, sha256: sha256(data) }))
          .toSorted((a, b) => (a.path < b.path ? -1 : 1)),
      );
    });

    it('comes out of them as it went in, and says what is damaged', async () => {
      const to = join(folder, 'unpacked');
      execFileSync(join(out, 'unpack.sh'), [to], { stdio: 'pipe' });
      for (const [path, data] of Object.entries(files)) expect(readFileSync(join(to, path)).equals(data)).toBe(true);
      const part = join(out, 'kit.ab');
      const data = readFileSync(part);
      data[100] = data[100] ^ 1;
      await writeFile(part, data);
      const { status, stdout, stderr } = spawnSync(join(out, 'unpack.sh'), [join(folder, 'again')], {
        encoding: 'utf8',
      });
      expect(status).not.toBe(0);
      expect(`${stdout}${stderr}`).toContain('kit.ab: FAILED');
    });
  },
);
