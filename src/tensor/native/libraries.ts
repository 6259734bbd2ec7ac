import koffi, { type LibraryHandle } from 'koffi';

import { messageOf } from '../../errors.js';

/** The libraries that a thread computes with. */
export interface NativeLibraries {
  /** ONNX Runtime's `libonnxruntime.so.1`; it looks for a provider beside itself. */
  readonly runtime: string;
  /** What the provider needs, in an order in which each finds those before it; none for the CPU. */
  readonly libraries: readonly string[];
}

/** Calls run on a stack of their own; opening a graph of many nodes takes more of it than the default. */
const STACK = 16 * 2 ** 20;

/** Once a library is open, nothing of this can be changed. */
function growStack(): void {
  if (koffi.config().sync_stack_size !== STACK) koffi.config({ sync_stack_size: STACK });
}

/** Loads what a provider needs, with symbols that it sees, and the runtime. @throws {Error} naming the library that could not be loaded. */
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
