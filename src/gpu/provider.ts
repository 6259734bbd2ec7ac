import { existsSync } from 'node:fs';
import { join } from 'node:path';

import type { Machine } from './machine.js';
import { isListed, readManifest } from './manifest.js';
import type { Place } from './places.js';
import { neededBy, textAfter } from './shared-object.js';

export const PROVIDER = 'libonnxruntime_providers_cuda.so';
export const BRIDGE = 'libonnxruntime_providers_shared.so';

/** ONNX Runtime's CUDA provider in a folder where the runtime finds it. */
export interface Provider {
  readonly folder: string;
  /** ONNX Runtime's own library in that folder; it looks for the provider beside itself. */
  readonly runtime: string;
  /** CUDA's libraries that the provider is linked with, `libcuda.so.1` among them. */
  readonly needs: readonly string[];
  /** The major version of CUDA that it was built for. */
  readonly cuda: number;
}

/** A folder with an unusable provider, and why. */
export interface Refused {
  readonly folder: string;
  /** The text after `got` in a message. */
  readonly got: string;
}

/**
 * The first folder with a provider that fits the installed onnxruntime-node, and earlier ones with one that doesn't.
 */
export function findProvider(
  machine: Machine,
  where: Iterable<Place>,
): { readonly provider: Provider | undefined; readonly refused: readonly Refused[] } {
  const refused: Refused[] = [];
  for (const { folder } of where) {
    if (!existsSync(join(folder, PROVIDER))) continue;
    const found = checkedProvider(machine, folder);
    if ('needs' in found) return { provider: found, refused };
    refused.push(found);
  }
  return { provider: undefined, refused };
}

/** The provider of one folder, its version and build compared with onnxruntime-node's. */
export function checkedProvider({ onnxruntime }: Machine, folder: string): Provider | Refused {
  const file = join(folder, PROVIDER);
  if (!existsSync(join(folder, BRIDGE))) return { folder, got: `${file} without ${BRIDGE} beside it` };
  const runtime = ['libonnxruntime.so.1', `libonnxruntime.so.${onnxruntime.version}`]
    .map((name) => join(folder, name))
    .find((path) => existsSync(path));
  if (runtime === undefined) return { folder, got: `${file} without libonnxruntime.so.1 beside it` };

  const needed = neededBy(file)?.filter((name) => /^lib(cu|nv)/.test(name));
  const major = needed?.map((name) => /^libcudart\.so\.(\d+)$/.exec(name)?.[1]).find((text) => text !== undefined);
  if (!needed || major === undefined) return { folder, got: `${file}, which names no libcudart that it needs` };

  const manifest = readManifest(folder);
  // Not compared again after installation, since that reads about 100 MB.
  const known = manifest?.onnxruntime === onnxruntime.version && isListed(manifest, folder, PROVIDER);
  if (known) return { folder, runtime, needs: needed, cuda: Number(major) };
  const version = providerVersion(file);
  if (version !== onnxruntime.version) return { folder, got: `${file} of ${version ?? 'another version'}` };
  const [own, beside] = [commitOf(join(onnxruntime.folder, 'libonnxruntime.so.1')), commitOf(runtime)];
  if (own !== beside) return { folder, got: `${runtime} built from ${beside ?? 'another commit'}` };
  return { folder, runtime, needs: needed, cuda: Number(major) };
}

/** The commit that a `libonnxruntime.so.1` was built from, as stored in it. */
export function commitOf(library: string): string | undefined {
  return existsSync(library) ? textAfter(library, 'git-commit-id=', /^([0-9a-f]{6,40})\b/) : undefined;
}

/**
 * The version of ONNX Runtime that a provider was built for: a separate string in the file, 1.15 or later, to exclude
 * other libraries' versions.
 */
export function providerVersion(file: string): string | undefined {
  return textAfter(file, '\x001.', /^((?:1[5-9]|[2-9]\d)\.\d+)\0/)?.replace(/^/, '1.');
}
