import { dirname, join } from 'node:path';

import koffi, { type LibraryHandle } from 'koffi';

import { messageOf } from '../../../errors.js';
import type { NativeLibraries } from '../../engine.js';

/** Calls run on a stack of their own; opening a graph of many nodes takes more of it than the default. */
const STACK = 16 * 2 ** 20;

/** Once a library is open, nothing of this can be changed. */
function growStack(): void {
  if (koffi.config().sync_stack_size !== STACK) koffi.config({ sync_stack_size: STACK });
}

/**
 * Loads what a provider needs, with symbols that it sees, and the runtime.
 *
 * @throws {Error} naming the library that could not be loaded.
 */
export function loadLibraries({ runtime, libraries }: NativeLibraries): LibraryHandle {
  growStack();
  for (const library of libraries) load(library, true);
  return load(runtime, false);
}

/** A library whose handle nobody has is closed when garbage is collected, whoever has its functions. */
const open: LibraryHandle[] = [];

function load(library: string, global: boolean): LibraryHandle {
  try {
    const handle = koffi.load(library, { global });
    open.push(handle);
    return handle;
  } catch (error) {
    throw new Error(`${library}: expected a library that can be loaded; got ${messageOf(error)}`, { cause: error });
  }
}

/** Flags of `dlopen`: only what is loaded already, and never to be unloaded. */
const PINNED = 0x1 | 0x4 | 0x1000;

/**
 * Keeps everything loaded for as long as the process lives, with the providers that the runtime has loaded beside
 * itself.
 *
 * The runtime unloads a provider with the last engine, and what has been loaded anew after that crashes.
 */
export function pinLibraries({ runtime, libraries }: NativeLibraries): void {
  const dlopen = koffi.load(null).func('void *dlopen(const char *path, int flags)') as (
    path: string,
    flags: number,
  ) => unknown;
  const providers = ['shared', 'cuda'].map((name) => join(dirname(runtime), `libonnxruntime_providers_${name}.so`));
  for (const path of [...libraries, runtime, ...providers]) dlopen(path, PINNED);
}
