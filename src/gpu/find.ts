import { existsSync } from 'node:fs';
import { delimiter } from 'node:path';

import { UsageError } from '../errors.js';
import { findDriver, pciCards, tooOld, type Driver } from './driver.js';
import { findCudnn, findLibraries, inOrder, type Libraries } from './libraries.js';
import { thisMachine, type Machine } from './machine.js';
import { places } from './places.js';
import { findProvider, type Provider } from './provider.js';

/** The libraries that a process loads to use CUDA. */
export interface CudaRuntime {
  /** Absolute path of ONNX Runtime's library to load: it looks for the provider beside itself. */
  readonly runtime: string;
  /** Folder of `libonnxruntime_providers_cuda.so` and `libonnxruntime_providers_shared.so`. */
  readonly provider: string;
  /** Absolute paths in load order, the driver's first; to be loaded with global symbols before the provider. */
  readonly libraries: readonly string[];
  /** The major version of CUDA that the provider was built for. */
  readonly cuda: number;
  /** The driver's version if known, such as `580.65.06`. */
  readonly driver: string | undefined;
}

/** Kinds of missing pieces. */
export type Piece = 'platform' | 'folder' | 'devices' | 'driver' | 'provider' | 'libraries' | 'cudnn';

/** A piece that CUDA needs and that isn't there, or not in the right version. */
export interface Missing {
  readonly piece: Piece;
  /** `cuda  what: expected …; got …; way out`. */
  readonly message: string;
  /** Names of missing libraries, such as `libcublas.so.13`. */
  readonly names: readonly string[];
}

/** Pieces of CUDA's runtime that were found, and the missing ones in the order in which to fix them. */
export interface CudaSurvey {
  readonly driver: Driver | undefined;
  readonly provider: Provider | undefined;
  readonly libraries: readonly string[];
  readonly missing: readonly Missing[];
}

/** CUDA was requested, but pieces are missing; the message names them, one a line. */
export class CudaMissingError extends UsageError {
  readonly missing: readonly Missing[];

  constructor(missing: readonly Missing[]) {
    super(missing.map(({ message }) => message).join('\n'));
    this.missing = missing;
  }
}

/**
 * The major version of CUDA that the provider for this ONNX Runtime is built for: the libraries to expect before a
 * provider is found.
 */
export const CUDA = 13;
const NEEDS = [`libcudart.so.${CUDA}`, `libcublasLt.so.${CUDA}`, `libcublas.so.${CUDA}`, 'libcurand.so.10'];

let found: CudaRuntime | undefined;

/**
 * Finds ONNX Runtime's CUDA provider and the libraries that it needs.
 *
 * The search takes up to two seconds and is cached per thread: pass the result to other threads.
 *
 * @throws {CudaMissingError} naming what is missing, or of another version than is needed, and where that is.
 */
export function findCudaRuntime(machine?: Machine): CudaRuntime {
  if (machine) return runtimeOf(surveyCuda(machine));
  return (found ??= runtimeOf(surveyCuda()));
}

/**
 * Looks for everything that CUDA needs.
 *
 * @param without a folder to skip, with its subfolders.
 */
export function surveyCuda(machine: Machine = thisMachine(), without?: string): CudaSurvey {
  if (machine.platform !== 'linux/x64') {
    return {
      driver: undefined,
      provider: undefined,
      libraries: [],
      missing: [lack('platform', `platform: expected linux/x64; got ${machine.platform}; way out: device: cpu`)],
    };
  }
  const where = places(machine, without);
  const driver = findDriver(machine, where);
  const { provider, refused } = findProvider(machine, where);
  const cuda = provider?.cuda ?? CUDA;
  const libraries = findLibraries(provider?.needs ?? NEEDS, cuda, where);
  const cudnn = findCudnn(cuda, where);
  const got = refused.length > 0 ? refused.map((one) => one.got).join(', ') : 'none';
  const missing: Missing[] = [
    ...noFolders(machine),
    ...hiddenDevices(machine),
    ...(driver ? oldDriver(driver, cuda) : [noDriver(machine)]),
    ...(provider
      ? []
      : [
          lack(
            'provider',
            `provider: expected ONNX Runtime's CUDA provider ${machine.onnxruntime.version}; got ${got}; way out: segr1 gpu install`,
          ),
        ]),
    ...lacking('libraries', `CUDA ${cuda}`, libraries),
    ...lacking('cudnn', `cuDNN for CUDA ${cuda}`, cudnn),
  ];
  return {
    driver,
    provider,
    libraries: inOrder([...(driver ? [driver.library] : []), ...libraries.found, ...cudnn.found]),
    missing,
  };
}

function runtimeOf({ driver, provider, libraries, missing }: CudaSurvey): CudaRuntime {
  if (missing.length > 0 || !provider) throw new CudaMissingError(missing);
  return {
    runtime: provider.runtime,
    provider: provider.folder,
    libraries,
    cuda: provider.cuda,
    driver: driver?.version,
  };
}

function noFolders({ env }: Machine): Missing[] {
  const given = (env['SEGR1_CUDA'] ?? '').split(delimiter).filter((folder) => folder !== '' && !existsSync(folder));
  return given.map((folder) =>
    lack('folder', `SEGR1_CUDA: expected a folder; got ${JSON.stringify(folder)}, which is not there`),
  );
}

function hiddenDevices({ env }: Machine): Missing[] {
  const visible = env['CUDA_VISIBLE_DEVICES'];
  if (visible === undefined || (visible.trim() !== '' && !visible.trim().startsWith('-'))) return [];
  return [
    lack(
      'devices',
      `CUDA_VISIBLE_DEVICES: expected the number of a GPU; got ${JSON.stringify(visible)}, which hides all of them; way out: unset it`,
    ),
  ];
}

function noDriver({ root }: Machine): Missing {
  const [card] = pciCards(root);
  const [got, way] =
    card === undefined
      ? ['none, and no NVIDIA card on the PCI bus', 'a machine with one, or device: cpu']
      : [`none, though an NVIDIA card is at ${card}`, 'install the driver, or start the container with its GPUs'];
  return lack('driver', `driver: expected libcuda.so.1 of NVIDIA's driver; got ${got}; way out: ${way}`);
}

function oldDriver(driver: Driver, cuda: number): Missing[] {
  const oldest = tooOld(driver, cuda);
  return oldest === undefined
    ? []
    : [
        lack(
          'driver',
          `driver: expected ${oldest} or newer for CUDA ${cuda}; got ${driver.version}; way out: a newer driver`,
        ),
      ];
}

function lacking(piece: Piece, what: string, { missing, others }: Libraries): Missing[] {
  if (missing.length === 0) return [];
  const got = others.length > 0 ? [...new Set(others)].join(', ') : 'none';
  return [
    lack(
      piece,
      `${what}: expected ${missing.join(', ')}; got ${got}; way out: segr1 gpu install, or their folder in LD_LIBRARY_PATH`,
      missing,
    ),
  ];
}

function lack(piece: Piece, text: string, names: readonly string[] = []): Missing {
  return { piece, message: `cuda  ${text}`, names };
}
