import { dirname, join } from 'node:path';

import koffi, { type LibraryHandle } from 'koffi';

import { messageOf } from '../../../errors.js';
import type { NativeLibraries } from '../../engine.js';

/** Calls run on their own stack; opening a graph with many nodes needs more than the default. */
const STACK = 16 * 2 ** 20;

/** This can't be changed once a library is open. */
function growStack(): void {
  if (koffi.config().sync_stack_size !== STACK) koffi.config({ sync_stack_size: STACK });
}

/**
 * Loads a provider's libraries, with global symbols, and the runtime.
 *
 * @throws {Error} naming the library that could not be loaded.
 */
export function loadLibraries({ runtime, libraries }: NativeLibraries): LibraryHandle {
  growStack();
  for (const library of libraries) load(library, true);
  return load(runtime, false);
}

/** A library without a reference to its handle is closed by garbage collection, even if its functions are in use. */
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

/** Flags of `dlopen`: only if loaded already, and never unload. */
const PINNED = 0x1 | 0x4 | 0x1000;

/**
 * Keeps everything loaded for the life of the process, with the providers that the runtime has loaded. The runtime
 * unloads a provider with the last engine, and a reloaded one crashes.
 */
export function pinLibraries({ runtime, libraries }: NativeLibraries): void {
  const dlopen = koffi.load(null).func('void *dlopen(const char *path, int flags)') as (
    path: string,
    flags: number,
  ) => unknown;
  const providers = ['shared', 'cuda'].map((name) => join(dirname(runtime), `libonnxruntime_providers_${name}.so`));
  for (const path of [...libraries, runtime, ...providers]) dlopen(path, PINNED);
}
