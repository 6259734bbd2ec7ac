/** A 64-bit ELF file that names what it needs, and nothing else; `text` stands behind it. */
export function sharedObject(needs: readonly string[], text = ''): Buffer {
  const names = Buffer.from(`\0${needs.map((name) => `${name}\0`).join('')}`, 'latin1');
  const offsets = needs.map((name) => names.indexOf(`${name}\0`, 0, 'latin1'));
  const [loaded, start] = [64 + 2 * 56, 0x10000];
  const entries: readonly (readonly [number, number])[] = [
    ...offsets.map((offset) => [1, offset] as const),
    [5, start + loaded],
    [10, names.length],
    [0, 0],
  ];

  const head = Buffer.alloc(64);
  head.write('\x7fELF\x02\x01\x01', 'latin1');
  head.writeBigUInt64LE(64n, 32);
  head.writeUInt16LE(56, 54);
  head.writeUInt16LE(2, 56);
  const dynamic = Buffer.alloc(entries.length * 16);
  for (const [i, [tag, value]] of entries.entries()) {
    dynamic.writeBigUInt64LE(BigInt(tag), i * 16);
    dynamic.writeBigUInt64LE(BigInt(value), i * 16 + 8);
  }
  const length = loaded + names.length + dynamic.length;
  return Buffer.concat([
    head,
    segment(1, 0, start, length),
    segment(2, loaded + names.length, start + loaded + names.length, dynamic.length),
    names,
    dynamic,
    Buffer.from(text, 'latin1'),
  ]);
}

/** The provider of a version of ONNX Runtime for a major version of CUDA. */
export function providerFile(version: string, cuda = 13): Buffer {
  return sharedObject(
    [
      `libcublasLt.so.${cuda}`,
      `libcublas.so.${cuda}`,
      'libcurand.so.10',
      `libcudart.so.${cuda}`,
      'libcuda.so.1',
      'libc.so.6',
    ],
    `1.3.2\0Invalid device ID: \0${version}\0cudaSetDevice`,
  );
}

/** ONNX Runtime's own library, built from a commit. */
export const runtimeFile = (commit: string): Buffer =>
  sharedObject(['libc.so.6'], `\0ORT Build Info: git-branch=HEAD, git-commit-id=${commit}, build type=Release\0`);

function segment(type: number, offset: number, address: number, length: number): Buffer {
  const header = Buffer.alloc(56);
  header.writeUInt32LE(type, 0);
  for (const [at, value] of [
    [8, offset],
    [16, address],
    [24, address],
    [32, length],
    [40, length],
  ] as const)
    header.writeBigUInt64LE(BigInt(value), at);
  return header;
}
