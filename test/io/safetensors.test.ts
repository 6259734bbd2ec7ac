import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ModelError } from '../../src/errors.js';
import {
  folderTensors,
  openSafetensors,
  writeSafetensors,
  writeShards,
  type StoredTensor,
} from '../../src/io/safetensors.js';

/** By their bits, those that are not below 0; in place of infinity what would come next. */
const HALVES = Array.from({ length: 0x7c01 }, (_, bits) =>
  bits < 0x400 ? bits * 2 ** -24 : (1 + (bits & 0x3ff) / 1024) * 2 ** ((bits >>> 10) - 15),
);

let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'safetensors-'))));
afterAll(() => rm(folder, { recursive: true }));

/** A file with this header and as many bytes of data, whatever the header says. */
async function stored(name: string, header: unknown, bytes: number): Promise<string> {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  await writeFile(join(folder, name), Buffer.concat([length, text, Buffer.alloc(bytes)]));
  return join(folder, name);
}

const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 });
/** The largest finite number of each kind. */
const MOST = { F32: (2 - 2 ** -23) * 2 ** 127, F16: 65504, BF16: (2 - 2 ** -7) * 2 ** 127 };

const tensors: fc.Arbitrary<StoredTensor[]> = fc.uniqueArray(
  fc
    .tuple(
      fc.string({ minLength: 1, maxLength: 12 }),
      shapes,
      fc.constantFrom('F32' as const, 'F16' as const, 'BF16' as const, 'I64' as const),
    )
    .chain(([name, shape, dtype]) => {
      const length = shape.reduce((a, b) => a * b, 1);
      const exactly = { minLength: length, maxLength: length };
      return dtype === 'I64'
        ? fc.bigInt64Array(exactly).map((data): StoredTensor => ({ name, shape, dtype, data }))
        : fc
            .tuple(fc.float32Array({ ...exactly, noNaN: true, min: -MOST[dtype], max: MOST[dtype] }), fc.boolean())
            .map(([data, late]): StoredTensor => ({ name, shape, dtype, data: late ? () => data : data }));
    }),
  { selector: ({ name }) => name, maxLength: 6 },
);

describe('what is written', () => {
  it('comes back: names, shapes, kinds, values, metadata', async () => {
    await fc.assert(
      fc.asyncProperty(
        tensors,
        fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }),
        async (written, metadata) => {
          const path = join(folder, 'round.safetensors');
          await writeSafetensors(path, written, metadata);
          const file = await openSafetensors(path);
          expect([...file.names].toSorted()).toEqual(written.map(({ name }) => name).toSorted());
          expect(file.metadata).toEqual(metadata);
          for (const { name, shape, dtype, data } of written) {
            const info = file.info(name);
            expect(info).toMatchObject({ dtype, shape, file: path });
            expect(info.offset % { F32: 4, F16: 2, BF16: 2, I64: 8 }[dtype]).toBe(0);
            if (dtype === 'I64') {
              expect(await file.readI64(name)).toEqual(data);
              continue;
            }
            const values = typeof data === 'function' ? await data() : data;
            const expected = Float32Array.from(
              values,
              { F32: (value: number) => value, F16: nearestF16, BF16: nearestBf16 }[dtype],
            );
            expect(await file.read(name)).toEqual(expected);
            const into = new Float32Array(new SharedArrayBuffer(4 * values.length + 8)).subarray(1, -1);
            expect([...(await file.read(name, into))]).toEqual([...expected]);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('is the same bytes for the same tensors, and leaves nothing beside it', async () => {
    const written: StoredTensor[] = [{ name: 'a', dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) }];
    const own = await mkdtemp(join(folder, 'own-'));
    await writeSafetensors(join(own, 'x.safetensors'), written);
    await writeSafetensors(join(own, 'y.safetensors'), written);
    expect(await readFile(join(own, 'x.safetensors'))).toEqual(await readFile(join(own, 'y.safetensors')));
    expect(await readdir(own)).toEqual(['x.safetensors', 'y.safetensors']);
  });

  it('may be made tensor by tensor, when its turn comes', async () => {
    const path = join(folder, 'late.safetensors');
    const made: string[] = [];
    const late = (name: string, dtype: 'F16' | 'U8', bytes: readonly number[]) => ({
      name,
      dtype,
      shape: [2],
      bytes: async () => (made.push(name), Uint8Array.from(bytes)),
    });
    await writeSafetensors(path, [late('narrow', 'U8', [1, 2]), late('wide', 'F16', [0, 0x3c, 0, 0xc0])]);
    expect(made).toEqual(['wide', 'narrow']);
    const file = await openSafetensors(path);
    expect([[...(await file.read('wide'))], [...(await file.readBytes('narrow'))]]).toEqual([
      [1, -2],
      [1, 2],
    ]);
    await expect(writeSafetensors(path, [late('wide', 'F16', [0])])).rejects.toThrow(
      `${path}  tensor "wide": expected 4 bytes for F16 [2]; got 1`,
    );
    expect((await openSafetensors(path)).names).toHaveLength(2);
    expect((await readdir(folder)).filter((name) => name.startsWith('late'))).toEqual(['late.safetensors']);
  });

  it.each([
    [
      'shape',
      [{ name: 'a', dtype: 'F32', shape: [3], data: new Float32Array(2) }],
      'tensor "a": expected 3 values for [3]; got 2',
    ],
    [
      'name',
      [
        { name: 'a', dtype: 'F32', shape: [], data: new Float32Array(1) },
        { name: 'a', dtype: 'F32', shape: [], data: new Float32Array(1) },
      ],
      'tensor "a": expected a name of its own; got it twice',
    ],
    [
      'number of values',
      [{ name: 'a', dtype: 'BF16', shape: [3], data: () => new Float32Array(2) }],
      'tensor "a": expected 3 values for [3]; got 2',
    ],
  ] as [string, StoredTensor[], string][])(
    'is refused for a wrong %s, and no file appears',
    async (name, written, message) => {
      const path = join(folder, `${name}-refused.safetensors`);
      await expect(writeSafetensors(path, written)).rejects.toThrow(`${path}  ${message}`);
      expect((await readdir(folder)).filter((file) => file.startsWith(name))).toEqual([]);
    },
  );
});

describe('openSafetensors', () => {
  it('widens F16 and reads every other kind as bytes', async () => {
    const header = {
      half: { dtype: 'F16', shape: [6], data_offsets: [0, 12] },
      flag: { dtype: 'BOOL', shape: [2], data_offsets: [12, 14] },
    };
    const path = await stored('half.safetensors', header, 14);
    const bytes = await readFile(path);
    // numpy: np.float16([1, -2, 65504, 6e-8, inf, -0.0]).view(np.uint16)
    Buffer.from(Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x8000).buffer).copy(bytes, bytes.length - 14);
    bytes.set([1, 0], bytes.length - 2);
    await writeFile(path, bytes);

    const file = await openSafetensors(path);
    expect([...(await file.read('half'))]).toEqual([1, -2, 65504, 2 ** -24, Infinity, -0]);
    expect([...(await file.readBytes('flag'))]).toEqual([1, 0]);
    expect(file.has('flag')).toBe(true);
    await expect(file.read('flag')).rejects.toThrow('tensor "flag": expected F32 or F16 or BF16; got BOOL');
    await expect(file.readI64('none')).rejects.toThrow(
      'tensor "none": expected it among 2 tensors; got none of that name',
    );
    expect(() => file.info('none')).toThrow(ModelError);
  });

  const one = (entry: unknown): unknown => ({ weight: entry });
  it.each([
    ['no JSON', '{"weight"', 0, 'header: expected a JSON object; got'],
    ['a list', [], 0, 'header: expected a JSON object; got []'],
    [
      'an unknown kind',
      one({ dtype: 'F12', shape: [], data_offsets: [0, 4] }),
      4,
      'tensor "weight": expected a dtype of F64, I64, U64',
    ],
    ['a name of every object', one({ dtype: 'toString', shape: [], data_offsets: [0, 4] }), 4, 'got "toString"'],
    [
      'a shape below 0',
      one({ dtype: 'F32', shape: [-1], data_offsets: [0, 4] }),
      4,
      'tensor "weight": expected a shape of whole numbers; got [-1]',
    ],
    ['no offsets', one({ dtype: 'F32', shape: [1] }), 4, 'tensor "weight": expected two data_offsets; got nothing'],
    ['no entry', one(null), 4, 'tensor "weight": expected a dtype'],
    [
      'bytes that do not fit the shape',
      one({ dtype: 'F32', shape: [2, 3], data_offsets: [0, 20] }),
      20,
      'tensor "weight": expected 24 bytes for F32 [2, 3]; got 20',
    ],
    [
      'bytes beyond the end',
      one({ dtype: 'F32', shape: [4], data_offsets: [0, 16] }),
      12,
      'tensor "weight": expected its bytes to end within the file',
    ],
    [
      'tensors that share bytes',
      {
        a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
        b: { dtype: 'F32', shape: [2], data_offsets: [4, 12] },
      },
      12,
      'tensor "b": expected its bytes at 8, where those before it end; got 4',
    ],
    [
      'two names of the same bytes',
      {
        a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
        b: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
      },
      8,
      'tensor "b": expected its bytes at 8, where those before it end; got 0',
    ],
    [
      'bytes before the first tensor',
      one({ dtype: 'U8', shape: [2], data_offsets: [2, 4] }),
      4,
      'tensor "weight": expected its bytes at 0, where those before it end; got 2',
    ],
    [
      'bytes after the last one',
      one({ dtype: 'U8', shape: [2], data_offsets: [0, 2] }),
      3,
      'header: expected tensors up to the end, at',
    ],
    [
      'a shape whose product is no number',
      one({ dtype: 'F32', shape: [2 ** 52, 2 ** 52], data_offsets: [0, 0] }),
      0,
      'tensor "weight": expected 8.112963841460668e+31 bytes for F32',
    ],
    [
      'a side below zero',
      one({ dtype: 'U8', shape: [-1, -4], data_offsets: [0, 4] }),
      4,
      'tensor "weight": expected a shape of whole numbers; got [-1,-4]',
    ],
    [
      'places in the wrong order',
      one({ dtype: 'U8', shape: [4], data_offsets: [4, 0] }),
      4,
      'tensor "weight": expected 4 bytes for U8 [4]; got -4',
    ],
    [
      'metadata that is no text',
      { __metadata__: { step: 3 } },
      0,
      '__metadata__: expected names with texts; got {"step":3}',
    ],
  ])('refuses %s', async (name, header, bytes, message) => {
    const path = await stored(`${name}.safetensors`, header, bytes);
    const error = await openSafetensors(path).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ModelError);
    expect((error as Error).message).toContain(path);
    expect((error as Error).message).toContain(message);
  });

  it.each([
    [
      'a name that occurs twice',
      '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
      'header: expected each name once; got 8 keys with 4 names',
    ],
    [
      'a key that occurs twice',
      '{"a:{\\"":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
      'got 5 keys with 4 names',
    ],
    ['a space before the object', ' {}', 'header: expected a JSON object; got {}'],
    ['a list', '[]', 'header: expected a JSON object; got []'],
    ['half an object', '{"a"', 'header: expected a JSON object; got "{'],
    ['other bytes than UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x30, 0x7d]), 'header: expected UTF-8'],
  ])('refuses %s', async (name, header, message) => {
    const text = Buffer.from(header);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    const path = join(folder, `${name}.safetensors`);
    await writeFile(path, Buffer.concat([length, text]));
    await expect(openSafetensors(path)).rejects.toThrow(ModelError);
    await expect(openSafetensors(path)).rejects.toThrow(`${path}  ${message.startsWith('got') ? '' : message}`);
    await expect(openSafetensors(path)).rejects.toThrow(message);
  });

  it('refuses a folder of the name of a file', async () => {
    const path = join(folder, 'folder.safetensors');
    await mkdir(path);
    await expect(openSafetensors(path)).rejects.toThrow(
      `${path}  safetensors: expected a file that can be read; got something else of that name`,
    );
  });

  it.each([
    ['F32', Float32Array.of(1, -Infinity, NaN), '-Infinity at 1'],
    ['F16', Uint16Array.of(0x7bff, 0x3c00, 0xfc00), '-Infinity at 2'],
    ['BF16', Uint16Array.of(0x7f7f, 0x7fc0), 'NaN at 1'],
  ] as const)('says where a number of %s is none', async (dtype, values, got) => {
    const entry = { dtype, shape: [values.length], data_offsets: [0, values.byteLength] };
    const path = await stored(
      `none-${dtype}.safetensors`,
      { weight: entry, same: { ...entry, data_offsets: [values.byteLength, 2 * values.byteLength] } },
      2 * values.byteLength,
    );
    const bytes = await readFile(path);
    for (const end of [bytes.length, bytes.length - values.byteLength])
      Buffer.from(values.buffer).copy(bytes, end - values.byteLength);
    await writeFile(path, bytes);
    const file = await openSafetensors(path);
    await expect(file.readFinite('weight')).rejects.toThrow(
      `${path}  tensor "weight": expected finite numbers; got ${got}`,
    );
    await expect(file.checkFinite('weight')).rejects.toThrow(`got an infinity or NaN at ${got.at(-1)}`);
    expect(await file.same('weight', 'same')).toBe(true);
  });

  it('refuses a header longer than its file, an empty file and a missing one', async () => {
    const path = join(folder, 'long.safetensors');
    await writeFile(path, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 2]));
    await expect(openSafetensors(path)).rejects.toThrow(
      `${path}  header: expected it inside the file; got 281474976710655 bytes of header in a file of 10`,
    );
    await writeFile(path, '');
    await expect(openSafetensors(path)).rejects.toThrow('got 0 bytes of header in a file of 0');
    await expect(openSafetensors(join(folder, 'none'))).rejects.toThrow(ModelError);
  });
});

describe('writeSafetensors', () => {
  it.each([
    ['F32', NaN, 'expected finite numbers; got NaN at 1'],
    ['F16', 70_000, 'expected numbers that F16 holds; got 70000 at 1'],
    ['BF16', -Infinity, 'expected finite numbers; got -Infinity at 1'],
    // Above the largest bfloat16, 3.3895e38.
    ['BF16', 3.4e38, 'expected numbers that BF16 holds'],
  ] as const)('writes no %s of %d', async (dtype, value, message) => {
    const path = join(folder, 'overflow.safetensors');
    const tensor = { name: 'weight', dtype, shape: [2], data: Float32Array.of(1, value) };
    await expect(writeSafetensors(path, [tensor])).rejects.toThrow(`${path}  tensor "weight": ${message}`);
    expect((await readdir(folder)).filter((name) => name.startsWith('overflow'))).toEqual([]);
  });
});

describe('folderTensors', () => {
  const tensor = (name: string, value: number): StoredTensor => ({
    name,
    dtype: 'F32',
    shape: [1],
    data: Float32Array.of(value),
  });
  async function sharded(): Promise<string> {
    const own = await mkdtemp(join(folder, 'shards-'));
    await writeSafetensors(join(own, 'one.safetensors'), [tensor('a', 1), tensor('b', 2)], { format: 'pt' });
    await writeSafetensors(join(own, 'two.safetensors'), [tensor('c', 3)]);
    await writeFile(
      join(own, 'model.safetensors.index.json'),
      JSON.stringify({
        metadata: {},
        weight_map: { a: 'one.safetensors', b: 'one.safetensors', c: 'two.safetensors' },
      }),
    );
    return own;
  }

  it('reads one file, or the shards of an index', async () => {
    const own = await sharded();
    const shards = await folderTensors(own);
    expect(shards.names).toEqual(['a', 'b', 'c']);
    expect(shards.metadata).toEqual({ format: 'pt' });
    expect([...(await shards.read('c'))]).toEqual([3]);
    expect(shards.info('c').file).toBe(join(own, 'two.safetensors'));

    await writeSafetensors(join(own, 'model.safetensors'), [tensor('whole', 4)]);
    expect((await folderTensors(own)).names).toEqual(['whole']);
  });

  it('refuses a missing shard, a cut one, and one without its tensor, by name', async () => {
    const own = await sharded();
    const two = join(own, 'two.safetensors');
    const bytes = await readFile(two);
    await writeFile(two, bytes.subarray(0, -1));
    await expect(folderTensors(own)).rejects.toThrow(`${two}  tensor "c": expected its bytes to end within the file`);
    await rm(two);
    await expect(folderTensors(own)).rejects.toThrow(
      `${two}  safetensors: expected a file that can be read; got ENOENT`,
    );
    await writeSafetensors(two, [tensor('d', 3)]);
    await expect(folderTensors(own)).rejects.toThrow(`${two}  tensor "c": expected it here`);
  });

  it('refuses an index that leaves the folder, is no index, or is not there', async () => {
    const own = await mkdtemp(join(folder, 'index-'));
    const index = join(own, 'model.safetensors.index.json');
    await expect(folderTensors(own)).rejects.toThrow(
      `${own}  checkpoint: expected model.safetensors or model.safetensors.index.json; got neither`,
    );
    await writeFile(index, '{"weight_map": {"a": "../one.safetensors"}}');
    await expect(folderTensors(own)).rejects.toThrow(
      `${index}  weight_map "a": expected the name of a .safetensors file in this folder; got "../one.safetensors"`,
    );
    await writeFile(index, '{}');
    await expect(folderTensors(own)).rejects.toThrow(
      `${index}  weight_map: expected tensor names with shard files; got nothing`,
    );
    await writeFile(index, '{');
    await expect(folderTensors(own)).rejects.toThrow(`${index}  index: expected JSON; got `);
  });
});

describe('writeShards', () => {
  const tensor = (name: string, length: number): StoredTensor => ({
    name,
    dtype: 'F16',
    shape: [length],
    data: Float32Array.from({ length }, (_, i) => i),
  });

  it('cuts where a file would take more than it may, as transformers does', async () => {
    const own = await mkdtemp(join(folder, 'cut-'));
    await writeShards(
      own,
      [tensor('a', 4), tensor('b', 4), tensor('c', 1), tensor('d', 100), tensor('e', 8)],
      { format: 'pt' },
      16,
    );
    const names = [1, 2, 3, 4].map((n) => `model-0000${n}-of-00004.safetensors`);
    expect(await readdir(own)).toEqual([...names, 'model.safetensors.index.json']);
    expect(JSON.parse(await readFile(join(own, 'model.safetensors.index.json'), 'utf8'))).toEqual({
      metadata: { total_size: 2 * (4 + 4 + 1 + 100 + 8) },
      weight_map: { a: names[0], b: names[0], c: names[1], d: names[2], e: names[3] },
    });
    const all = await folderTensors(own);
    expect([all.names, all.metadata, [...(await all.read('e'))]]).toEqual([
      ['a', 'b', 'c', 'd', 'e'],
      { format: 'pt' },
      [0, 1, 2, 3, 4, 5, 6, 7],
    ]);
  });

  it.each([
    ['what fits', 16],
    ['whatever there is, by default', undefined],
  ])('keeps in one file %s', async (_, most) => {
    const own = await mkdtemp(join(folder, 'whole-'));
    await writeShards(own, [tensor('a', 4), tensor('b', 4)], {}, most);
    expect(await readdir(own)).toEqual(['model.safetensors']);
  });
});

/** Nearest by search among all halves; a tie goes to the even one. */
function nearestF16(value: number): number {
  if (Number.isNaN(value)) return value;
  const size = Math.abs(value);
  let [low, high] = [0, HALVES.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (HALVES[middle] <= size) low = middle;
    else high = middle;
  }
  const [below, above] = [HALVES[low], HALVES[high]];
  const nearer = size - below < above - size || (size - below === above - size && low % 2 === 0) ? below : above;
  return (Object.is(value, -0) || value < 0 ? -1 : 1) * (nearer === 65536 ? Infinity : nearer);
}

/** Nearest by search among the two neighbours; a tie goes to the even one. */
function nearestBf16(value: number): number {
  const word = new Uint32Array(Float32Array.of(value).buffer);
  if (!Number.isFinite(value)) return value;
  const of = (bits: number): number => new Float32Array(Uint32Array.of(bits << 16).buffer)[0];
  const low = word[0] >>> 16;
  const rest = word[0] & 0xffff;
  return of(rest > 0x8000 || (rest === 0x8000 && low % 2 === 1) ? low + 1 : low);
}
