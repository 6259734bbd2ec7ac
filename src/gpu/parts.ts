import type { Machine } from './machine.js';

/** One package for the folder: its name for pip, the files to take, and its size on disk. */
export interface Part {
  readonly name: string;
  readonly requirement: string;
  /** Target path of a wheel's file in the folder; undefined to skip it. */
  readonly place: (entry: string) => string | undefined;
  /** Bytes of the wheel and of what is unpacked, at the versions of November 2026; to check disk space. */
  readonly room: { readonly wheel: number; readonly unpacked: number };
}

/** Wheels of NVIDIA's libraries for CUDA 13, each with the libraries that it is fetched for. */
const WHEELS: readonly (Omit<Part, 'place'> & { readonly holds: RegExp })[] = [
  {
    name: 'nvidia-cuda-runtime',
    requirement: 'nvidia-cuda-runtime>=13,<14',
    holds: /^libcudart\./,
    room: { wheel: 3e6, unpacked: 1e6 },
  },
  {
    name: 'nvidia-cublas',
    requirement: 'nvidia-cublas>=13,<14',
    holds: /^libcublas/,
    room: { wheel: 445e6, unpacked: 609e6 },
  },
  {
    name: 'nvidia-cuda-nvrtc',
    requirement: 'nvidia-cuda-nvrtc>=13,<14',
    holds: /^lib(cublas|nvrtc)/,
    room: { wheel: 59e6, unpacked: 149e6 },
  },
  {
    name: 'nvidia-curand',
    requirement: 'nvidia-curand>=10,<11',
    holds: /^libcurand\./,
    room: { wheel: 78e6, unpacked: 105e6 },
  },
  {
    name: 'nvidia-cudnn-cu13',
    requirement: 'nvidia-cudnn-cu13>=9,<10',
    holds: /^libcudnn\./,
    room: { wheel: 517e6, unpacked: 940e6 },
  },
];

/** The wheel of ONNX Runtime for Python, source of the provider, which is the same for all Python versions. */
export function providerPart({ onnxruntime }: Pick<Machine, 'onnxruntime'>): Part {
  const place = (entry: string): string | undefined =>
    /^onnxruntime\/capi\/(libonnxruntime_providers_(?:cuda|shared)\.so)$/.exec(entry)?.[1];
  return {
    name: 'onnxruntime-gpu',
    requirement: `onnxruntime-gpu==${onnxruntime.version}`,
    place,
    room: { wheel: 247e6, unpacked: 318e6 },
  };
}

/** The wheels of all CUDA libraries, or of the named ones, such as `libcublas.so.13`. */
export function libraryParts(names?: readonly string[]): readonly Part[] {
  return WHEELS.filter(({ holds }) => names === undefined || names.some((name) => holds.test(name))).map(
    ({ name, requirement, room }) => ({
      name,
      requirement,
      room,
      place: inPackages,
    }),
  );
}

/** The wheels' own layout, by which cuDNN finds cuBLAS. */
function inPackages(entry: string): string | undefined {
  return /^nvidia\/[^/]+\/lib\/lib[^/]+\.so[.\d]*$/.test(entry) && !entry.includes('libnvblas') ? entry : undefined;
}
