import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import type { Place } from './places.js';
import { textAfter } from './shared-object.js';

/** cuDNN's name; the provider opens it when an operator needs it. */
const CUDNN = 'libcudnn.so.9';

/** Those whose own libraries must be loaded before them come later. */
const LOAD_ORDER = ['cuda', 'cudart', 'nvrtc', 'cublasLt', 'cublas', 'cufft', 'curand', 'cudnn'];

/** Where each library was found, and near misses for the others. */
export interface Libraries {
  /** Absolute paths in load order. */
  readonly found: readonly string[];
  /** Names of the missing ones, such as `libcublas.so.13`. */
  readonly missing: readonly string[];
  /** Paths of the same libraries of another major version, or for another one of CUDA. */
  readonly others: readonly string[];
}

/**
 * The libraries that a provider needs, beside the driver's.
 *
 * cuBLAS and cuBLASLt are taken from one folder. NVRTC is added if it lies beside one of them: cuDNN, which may be
 * elsewhere, compiles with it.
 *
 * @param needs as the provider names them.
 */
export function findLibraries(needs: readonly string[], cuda: number, where: Iterable<Place>): Libraries {
  const wanted = needs.filter((name) => name !== 'libcuda.so.1');
  const blas = wanted.filter((name) => name.startsWith('libcublas'));
  const groups = [
    ...wanted.filter((name) => !blas.includes(name)).map((name) => [name]),
    ...(blas.length > 0 ? [blas] : []),
  ];
  const parts = groups.map((names) => ({ names, folder: folderWith(names, where) }));
  const found = parts.flatMap(({ names, folder }) =>
    folder === undefined ? [] : names.map((name) => join(folder, name)),
  );
  const missing = parts.flatMap(({ names, folder }) => (folder === undefined ? names : []));

  const compiler = parts
    .flatMap(({ folder }) => (folder === undefined ? [] : [join(folder, `libnvrtc.so.${cuda}`)]))
    .find((path) => existsSync(path));
  return {
    found: inOrder([...found, ...(compiler === undefined ? [] : [compiler])]),
    missing,
    others: missing.flatMap((name) => otherVersions(name, where)),
  };
}

/** cuDNN 9 for the same major version of CUDA; releases for several have one name. */
export function findCudnn(cuda: number, where: Iterable<Place>): Libraries {
  const others: string[] = [];
  for (const { folder } of where) {
    const path = join(folder, CUDNN);
    if (!existsSync(path)) continue;
    const major = cudaOf(path);
    if ((major ?? cuda) === cuda) return { found: [path], missing: [], others: [] };
    others.push(`${path} for CUDA ${major}`);
  }
  return { found: [], missing: [CUDNN], others: [...others, ...otherVersions(CUDNN, where)] };
}

/** Sorts paths so that each library comes after those that it needs. */
export function inOrder(paths: readonly string[]): readonly string[] {
  const rank = (path: string): number => {
    const at = LOAD_ORDER.indexOf(/lib(\w+)\.so/.exec(path.slice(path.lastIndexOf('/')))?.[1] ?? '');
    return at < 0 ? LOAD_ORDER.length : at;
  };
  return paths.toSorted((a, b) => rank(a) - rank(b));
}

/** cuDNN's parts name the cuBLASLt that they open. */
function cudaOf(cudnn: string): number | undefined {
  const part = cudnn.replace('libcudnn.so', 'libcudnn_adv.so');
  const major = existsSync(part) ? textAfter(part, 'libcublasLt.so.', /^(\d+)/) : undefined;
  return major === undefined ? undefined : Number(major);
}

function folderWith(names: readonly string[], where: Iterable<Place>): string | undefined {
  for (const { folder } of where) {
    if (names.every((name) => existsSync(join(folder, name)))) return folder;
  }
  return undefined;
}

function otherVersions(name: string, where: Iterable<Place>): string[] {
  const stem = name.replace(/\d+$/, '');
  return [...where].flatMap(({ folder }) =>
    names(folder)
      .filter((other) => other !== name && other.startsWith(stem) && /^\d+$/.test(other.slice(stem.length)))
      .map((other) => join(folder, other)),
  );
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
