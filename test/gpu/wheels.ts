import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';

import { COMMIT, VERSION } from './machines.js';
import { providerFile, runtimeFile } from './shared-objects.js';

/** A wheel in `folder`, with a RECORD of its files; `record` changes what it says. @returns its path. */
export function writeWheel(
  folder: string,
  name: string,
  version: string,
  files: Readonly<Record<string, Buffer>>,
  record = (line: string): string => line,
): string {
  const info = `${name}-${version}.dist-info`;
  const lines = Object.entries(files).map(([path, data]) =>
    record(`${path},sha256=${createHash('sha256').update(data).digest('base64url')},${data.length}`),
  );
  const all = {
    ...files,
    [`${info}/METADATA`]: Buffer.from(`Name: ${name}\n`),
    [`${info}/RECORD`]: Buffer.from(`${lines.join('\n')}\n${info}/RECORD,,\n`),
  };
  const path = join(folder, `${name}-${version}-py3-none-manylinux_2_28_x86_64.whl`);
  writeFileSync(path, zip(all));
  return path;
}

/**
 * What the wheels of the provider and of NVIDIA's libraries hold, as far as is looked at; by the name in the wheel's
 * file name.
 */
export function wheelFiles({ version = VERSION, commit = COMMIT, cuda = 13 } = {}): Readonly<
  Record<string, { readonly version: string; readonly files: Readonly<Record<string, Buffer>> }>
> {
  const text = (content: string): Buffer => Buffer.from(content.repeat(500));
  return {
    onnxruntime_gpu: {
      version: VERSION,
      files: {
        'onnxruntime/__init__.py': text('#'),
        'onnxruntime/capi/libonnxruntime_providers_cuda.so': providerFile(version, cuda),
        'onnxruntime/capi/libonnxruntime_providers_shared.so': text('shared'),
        'onnxruntime/capi/libonnxruntime_providers_tensorrt.so': text('other'),
        [`onnxruntime/capi/libonnxruntime.so.${VERSION}`]: runtimeFile(commit),
      },
    },
    nvidia_cuda_runtime: {
      version: '13.0.96',
      files: { 'nvidia/cu13/lib/libcudart.so.13': text('rt'), 'nvidia/cu13/include/cuda.h': text('h') },
    },
    nvidia_cublas: {
      version: '13.1.0.3',
      files: {
        'nvidia/cu13/lib/libcublas.so.13': text('blas'),
        'nvidia/cu13/lib/libcublasLt.so.13': text('lt'),
        'nvidia/cu13/lib/libnvblas.so.13': text('nv'),
      },
    },
    nvidia_cuda_nvrtc: {
      version: '13.0.88',
      files: {
        'nvidia/cu13/lib/libnvrtc.so.13': text('nvrtc'),
        'nvidia/cu13/lib/libnvrtc-builtins.so.13.0': text('builtins'),
      },
    },
    nvidia_curand: { version: '10.4.0.35', files: { 'nvidia/cu13/lib/libcurand.so.10': text('rand') } },
    nvidia_cudnn_cu13: {
      version: '9.13.0.50',
      files: {
        'nvidia/cudnn/lib/libcudnn.so.9': text('dnn'),
        'nvidia/cudnn/lib/libcudnn_adv.so.9': Buffer.from('\0libcublasLt.so.13\0'),
      },
    },
  };
}

/** A zip archive, every other file deflated. */
export function zip(files: Readonly<Record<string, Buffer>>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [i, [name, data]] of Object.entries(files).entries()) {
    const method = i % 2 === 0 ? 8 : 0;
    const packed = method === 8 ? deflateRawSync(data) : data;
    const [label, local, central] = [Buffer.from(name), Buffer.alloc(30), Buffer.alloc(46)];
    local.write('PK\x03\x04', 'latin1');
    central.write('PK\x01\x02', 'latin1');
    for (const [head, at] of [
      [local, 8],
      [central, 10],
    ] as const) {
      head.writeUInt16LE(method, at);
      head.writeUInt32LE(packed.length, at + 10);
      head.writeUInt32LE(data.length, at + 14);
      head.writeUInt16LE(label.length, at + 18);
    }
    central.writeUInt32LE(offset, 42);
    parts.push(local, label, packed);
    directory.push(central, label);
    offset += 30 + label.length + packed.length;
  }
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, ...directory, end]);
}
