import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { UsageError } from '../../src/errors.js';
import { CudaMissingError, findCudaRuntime, surveyCuda } from '../../src/gpu/find.js';
import { COMMIT, cudnn, driver, madeMachine, provider, toolkit, VERSION } from './machines.js';
import { runtimeFile } from './shared-objects.js';

const INSTALLED = `home/.cache/segr1/cuda-${VERSION}`;
const CUDA = 'usr/local/cuda-13.0/lib64';
const complete = {
  ...driver('580.65.06'),
  ...provider(INSTALLED),
  ...toolkit(CUDA),
  ...cudnn('usr/lib/x86_64-linux-gnu'),
};

/** What is said to be missing; the machine's folder taken off. */
function complaint(machine: ReturnType<typeof madeMachine>): string {
  try {
    findCudaRuntime(machine);
  } catch (error) {
    expect(error).toBeInstanceOf(CudaMissingError);
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message.replaceAll(machine.root, '');
  }
  throw new Error('expected a complaint; got a runtime');
}

/** `complete` without the files whose names match. */
const without = (pattern: RegExp): Record<string, string | Buffer> =>
  Object.fromEntries(Object.entries(complete).filter(([name]) => !pattern.test(name)));

describe('findCudaRuntime', () => {
  it('gives what to load, each library behind those that it needs', () => {
    const machine = madeMachine({ ...complete, [`${CUDA}/libnvrtc.so.13`]: '' });
    const found = findCudaRuntime(machine);
    expect(found).toEqual({
      runtime: join(machine.root, INSTALLED, 'libonnxruntime.so.1'),
      provider: join(machine.root, INSTALLED),
      libraries: [
        'usr/lib/x86_64-linux-gnu/libcuda.so.1',
        ...['cudart.so.13', 'nvrtc.so.13', 'cublasLt.so.13', 'cublas.so.13', 'curand.so.10'].map(
          (name) => `${CUDA}/lib${name}`,
        ),
        'usr/lib/x86_64-linux-gnu/libcudnn.so.9',
      ].map((name) => join(machine.root, name)),
      cuda: 13,
      driver: '580.65.06',
    });
  });
  it('starts no Python where all is there', () => {
    const machine = madeMachine(complete, { python: ['ROOT/python'] });
    findCudaRuntime(machine);
    expect(machine.asked).toBe(0);
  });
  it("finds NVIDIA's wheels and ONNX Runtime's own among Python's packages", () => {
    const capi = provider('python/onnxruntime/capi');
    const wheel = {
      'python/onnxruntime/capi/libonnxruntime_providers_cuda.so':
        capi['python/onnxruntime/capi/libonnxruntime_providers_cuda.so'] ?? '',
      'python/onnxruntime/capi/libonnxruntime_providers_shared.so': '',
      [`python/onnxruntime/capi/libonnxruntime.so.${VERSION}`]: runtimeFile(COMMIT),
    };
    const machine = madeMachine(
      { ...driver('580.65.06'), ...wheel, ...toolkit('python/nvidia/cu13/lib'), ...cudnn('python/nvidia/cudnn/lib') },
      { python: ['ROOT/python'] },
    );
    expect(findCudaRuntime(machine).runtime).toBe(
      join(machine.root, `python/onnxruntime/capi/libonnxruntime.so.${VERSION}`),
    );
  });
  it('prefers SEGR1_CUDA, which may name several folders', () => {
    const machine = madeMachine(
      {
        ...complete,
        ...provider('mine'),
        'stand-in/libcuda.so.1': '',
        ...toolkit('stand-in'),
        'stand-in/libcudnn.so.9': '',
      },
      { env: { SEGR1_CUDA: 'ROOT/stand-in:ROOT/mine' } },
    );
    const { runtime, libraries, driver: version } = findCudaRuntime(machine);
    expect([runtime, ...libraries].map((path) => path.replace(machine.root, ''))).toEqual([
      '/mine/libonnxruntime.so.1',
      ...['cuda.so.1', 'cudart.so.13', 'cublasLt.so.13', 'cublas.so.13', 'curand.so.10', 'cudnn.so.9'].map(
        (name) => `/stand-in/lib${name}`,
      ),
    ]);
    expect(version).toBeUndefined();
  });
  it('takes cuBLAS and cuBLASLt from one folder', () => {
    const machine = madeMachine({ ...complete, 'ld/libcublas.so.13': '' }, { env: { LD_LIBRARY_PATH: 'ROOT/ld' } });
    expect(
      findCudaRuntime(machine)
        .libraries.filter((path) => path.includes('cublas'))
        .map((path) => path.replace(machine.root, '')),
    ).toEqual([`/${CUDA}/libcublasLt.so.13`, `/${CUDA}/libcublas.so.13`]);
  });
  it('passes over a cuDNN for another CUDA, which has the same name', () => {
    const machine = madeMachine({ ...complete, ...cudnn('ld', 12) }, { env: { LD_LIBRARY_PATH: 'ROOT/ld' } });
    expect(findCudaRuntime(machine).libraries.at(-1)).toBe(
      join(machine.root, 'usr/lib/x86_64-linux-gnu/libcudnn.so.9'),
    );
  });
  it('passes over a provider of another version for one that fits', () => {
    const machine = madeMachine({ ...complete, ...provider('mine', '1.27.0') }, { env: { SEGR1_CUDA: 'ROOT/mine' } });
    expect(findCudaRuntime(machine).provider).toBe(join(machine.root, INSTALLED));
  });
  it('works with a provider for CUDA 12, its libraries and a driver for those', () => {
    const machine = madeMachine({
      ...driver('535.104.05'),
      ...provider(INSTALLED, VERSION, 12),
      ...toolkit(CUDA, 12),
      ...cudnn(CUDA, 12),
    });
    expect(findCudaRuntime(machine)).toMatchObject({ cuda: 12, driver: '535.104.05' });
  });
});

describe('what is missing', () => {
  const bus = (vendor: string): Record<string, string> => ({
    'sys/bus/pci/devices/0000:01:00.0/vendor': `${vendor}\n`,
    'sys/bus/pci/devices/0000:01:00.0/class': '0x030200\n',
  });

  it.each([
    [
      'a platform',
      () => ({ ...madeMachine(complete), platform: 'darwin/arm64' }),
      'cuda  platform: expected linux/x64; got darwin/arm64; way out: device: cpu',
    ],
    [
      'a driver and a card',
      () => madeMachine({ ...without(/libcuda\./), ...bus('0x8086') }),
      "cuda  driver: expected libcuda.so.1 of NVIDIA's driver; got none, and no NVIDIA card on the PCI bus; way out: a machine with one, or device: cpu",
    ],
    [
      'a driver for a card',
      () => madeMachine({ ...without(/libcuda\./), ...bus('0x10de') }),
      "cuda  driver: expected libcuda.so.1 of NVIDIA's driver; got none, though an NVIDIA card is at 0000:01:00.0; way out: install the driver, or start the container with its GPUs",
    ],
    [
      'a newer driver',
      () => madeMachine({ ...without(/libcuda\./), ...driver('535.104.05') }),
      'cuda  driver: expected 580 or newer for CUDA 13; got 535.104.05; way out: a newer driver',
    ],
    [
      'a newer driver, by the kernel',
      () =>
        madeMachine({
          ...without(/libcuda\./),
          'usr/lib/wsl/lib/libcuda.so.1': '',
          'proc/driver/nvidia/version': 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\n',
        }),
      'cuda  driver: expected 580 or newer for CUDA 13; got 550.54.15; way out: a newer driver',
    ],
    [
      'a provider',
      () => madeMachine(without(/providers/)),
      "cuda  provider: expected ONNX Runtime's CUDA provider 1.30.0; got none; way out: segr1 gpu install",
    ],
    [
      'a provider of this version',
      () => madeMachine({ ...complete, ...provider(INSTALLED, '1.27.0') }),
      `cuda  provider: expected ONNX Runtime's CUDA provider 1.30.0; got /${INSTALLED}/libonnxruntime_providers_cuda.so of 1.27.0; way out: segr1 gpu install`,
    ],
    [
      'a provider of this build',
      () => madeMachine({ ...complete, [`${INSTALLED}/libonnxruntime.so.1`]: runtimeFile('0123abcd9') }),
      `cuda  provider: expected ONNX Runtime's CUDA provider 1.30.0; got /${INSTALLED}/libonnxruntime.so.1 built from 0123abcd9; way out: segr1 gpu install`,
    ],
    [
      'a whole provider',
      () => madeMachine(without(/providers_shared/)),
      `cuda  provider: expected ONNX Runtime's CUDA provider 1.30.0; got /${INSTALLED}/libonnxruntime_providers_cuda.so without libonnxruntime_providers_shared.so beside it; way out: segr1 gpu install`,
    ],
    [
      'a runtime beside it',
      () => madeMachine(without(/libonnxruntime\.so/)),
      `cuda  provider: expected ONNX Runtime's CUDA provider 1.30.0; got /${INSTALLED}/libonnxruntime_providers_cuda.so without libonnxruntime.so.1 beside it; way out: segr1 gpu install`,
    ],
    [
      'one library',
      () => madeMachine(without(/curand/)),
      'cuda  CUDA 13: expected libcurand.so.10; got none; way out: segr1 gpu install, or their folder in LD_LIBRARY_PATH',
    ],
    [
      'libraries of this CUDA',
      () => madeMachine({ ...without(/lib64/), ...toolkit('usr/local/cuda-12.9/lib64', 12) }),
      'cuda  CUDA 13: expected libcudart.so.13, libcublasLt.so.13, libcublas.so.13; got /usr/local/cuda-12.9/lib64/libcudart.so.12, /usr/local/cuda-12.9/lib64/libcublasLt.so.12, /usr/local/cuda-12.9/lib64/libcublas.so.12; way out: segr1 gpu install, or their folder in LD_LIBRARY_PATH',
    ],
    [
      'cuDNN',
      () => madeMachine(without(/cudnn/)),
      'cuda  cuDNN for CUDA 13: expected libcudnn.so.9; got none; way out: segr1 gpu install, or their folder in LD_LIBRARY_PATH',
    ],
    [
      'cuDNN 9',
      () => madeMachine({ ...without(/cudnn/), 'usr/lib64/libcudnn.so.8': '' }),
      'cuda  cuDNN for CUDA 13: expected libcudnn.so.9; got /usr/lib64/libcudnn.so.8; way out: segr1 gpu install, or their folder in LD_LIBRARY_PATH',
    ],
    [
      'cuDNN for this CUDA',
      () => madeMachine({ ...without(/cudnn/), ...cudnn('usr/lib64', 12) }),
      'cuda  cuDNN for CUDA 13: expected libcudnn.so.9; got /usr/lib64/libcudnn.so.9 for CUDA 12; way out: segr1 gpu install, or their folder in LD_LIBRARY_PATH',
    ],
    [
      'GPUs to be seen',
      () => madeMachine(complete, { env: { CUDA_VISIBLE_DEVICES: '' } }),
      'cuda  CUDA_VISIBLE_DEVICES: expected the number of a GPU; got "", which hides all of them; way out: unset it',
    ],
    [
      'GPUs to be seen, by a number',
      () => madeMachine(complete, { env: { CUDA_VISIBLE_DEVICES: '-1' } }),
      'cuda  CUDA_VISIBLE_DEVICES: expected the number of a GPU; got "-1", which hides all of them; way out: unset it',
    ],
    [
      'the folder that is named',
      () => madeMachine(complete, { env: { SEGR1_CUDA: '/nowhere' } }),
      'cuda  SEGR1_CUDA: expected a folder; got "/nowhere", which is not there',
    ],
  ])('%s', (_, machine, message) => {
    expect(complaint(machine())).toBe(message);
  });

  it('comes a line each, in the order in which to mend it', () => {
    const { missing } = surveyCuda(madeMachine({}, { env: { CUDA_VISIBLE_DEVICES: '' } }));
    expect(missing.map(({ piece }) => piece)).toEqual(['devices', 'driver', 'provider', 'libraries', 'cudnn']);
    expect(complaint(madeMachine()).split('\n')).toHaveLength(4);
  });
  it.each(['0', '1,0', 'GPU-8932f937', 'MIG-GPU-1'])('is nothing with CUDA_VISIBLE_DEVICES=%s', (visible) => {
    expect(surveyCuda(madeMachine(complete, { env: { CUDA_VISIBLE_DEVICES: visible } })).missing).toEqual([]);
  });
  it('is no driver where one for forward compatibility comes first', () => {
    const machine = madeMachine(
      {
        ...complete,
        ...driver('580.82.07', 'compat'),
        'usr/lib/x86_64-linux-gnu/libcuda.so.535.1.1': '',
        'proc/driver/nvidia/version': 'Kernel Module  535.104.05  Tue\n',
      },
      { env: { LD_LIBRARY_PATH: 'ROOT/compat' } },
    );
    expect(findCudaRuntime(machine).driver).toBe('580.82.07');
  });
});
