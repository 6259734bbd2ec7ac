import { readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

import { defaultInstallFolder, type Machine } from './machine.js';

/** A folder that may hold libraries, and why it is searched. */
export interface Place {
  readonly folder: string;
  readonly why: string;
}

/**
 * The folders in which CUDA's libraries and the provider are looked for, in this order, each once: `SEGR1_CUDA`, what
 * `segr1 gpu install` made, onnxruntime-node's own, `LD_LIBRARY_PATH`, conda's, `/usr/local/cuda*`, the system's, and
 * Python packages last.
 *
 * Lazy and cached: Python is started only if no earlier place has a library.
 *
 * @param without a folder to skip, with its subfolders.
 */
export function places(machine: Machine, without?: string): Iterable<Place> {
  const source = found(machine, without === undefined ? undefined : realFolder(without));
  const known: Place[] = [];
  return {
    *[Symbol.iterator]() {
      for (let i = 0; ; i += 1) {
        if (i === known.length) {
          const { value, done } = source.next();
          if (done === true) return;
          known.push(value);
        }
        yield known[i];
      }
    },
  };
}

function* found(machine: Machine, without: string | undefined): Generator<Place, void> {
  const seen = new Set<string>();
  for (const list of ordered(machine)) {
    for (const place of list()) {
      const real = realFolder(place.folder);
      if (real === undefined || seen.has(real) || (without !== undefined && `${real}/`.startsWith(`${without}/`)))
        continue;
      seen.add(real);
      yield place;
    }
  }
}

function ordered(machine: Machine): (() => readonly Place[])[] {
  const { env, root, onnxruntime } = machine;
  const why = (reason: string, folders: readonly string[]): Place[] =>
    folders.map((folder) => ({ folder, why: reason }));
  const listed = (name: string): string[] => (env[name] ?? '').split(delimiter).filter((folder) => folder !== '');
  return [
    () => why('SEGR1_CUDA', listed('SEGR1_CUDA').flatMap(withPackages)),
    () => why('segr1 gpu install', withPackages(defaultInstallFolder(machine))),
    () => why('onnxruntime-node', [onnxruntime.folder]),
    () => why('LD_LIBRARY_PATH', listed('LD_LIBRARY_PATH')),
    () => why('CONDA_PREFIX', env['CONDA_PREFIX'] ? [join(env['CONDA_PREFIX'], 'lib')] : []),
    () => why('/usr/local', toolkits(root)),
    () =>
      why('the system', [
        ...cached(machine),
        ...['usr/lib/wsl/lib', 'usr/lib/x86_64-linux-gnu', 'usr/lib64', 'usr/local/nvidia/lib64'].map((folder) =>
          join(root, folder),
        ),
      ]),
    () =>
      why(
        'Python packages',
        machine.sitePackages().flatMap((folder) => [...packaged(folder), join(folder, 'onnxruntime', 'capi')]),
      ),
  ];
}

/** A folder, and those of the NVIDIA wheels unpacked in it. */
const withPackages = (folder: string): string[] => [folder, ...packaged(folder)];

/** `nvidia/NAME/lib` of NVIDIA's wheels; `cu13` before `cublas` and others of older releases. */
function packaged(folder: string): string[] {
  const names = entries(join(folder, 'nvidia'));
  return [
    ...names.filter((name) => /^cu\d+$/.test(name)).toReversed(),
    ...names.filter((name) => !/^cu\d+$/.test(name)),
  ].map((name) => join(folder, 'nvidia', name, 'lib'));
}

/** `/usr/local/cuda` first, then those with a version, newest first. */
function toolkits(root: string): string[] {
  const newest = (a: string, b: string): number => b.localeCompare(a, 'en', { numeric: true });
  const names = entries(join(root, 'usr/local')).filter((name) => /^cuda(-[\d.]+)?$/.test(name));
  return names
    .toSorted((a, b) => Number(b === 'cuda') - Number(a === 'cuda') || newest(a, b))
    .flatMap((name) => ['lib64', 'targets/x86_64-linux/lib'].map((folder) => join(root, 'usr/local', name, folder)));
}

/** Folders of CUDA's libraries that the system's loader knows. */
function cached(machine: Machine): string[] {
  const paths = [
    ...machine
      .ldconfig()
      .matchAll(/^\s*lib(?:cuda|cudart|cublas|cublasLt|curand|cudnn)\.so[^\n]*x86-64[^\n]*=> (\S+)$/gm),
  ].map(([, path = '']) => dirname(path));
  return [...new Set(paths)];
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch {
    return [];
  }
}

function realFolder(folder: string): string | undefined {
  try {
    return realpathSync(folder);
  } catch {
    return undefined;
  }
}
