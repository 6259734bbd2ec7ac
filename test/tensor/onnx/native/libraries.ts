import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import type { NativeLibraries } from '../../../../src/tensor/engine.js';

const main = createRequire(import.meta.url).resolve('onnxruntime-node');
const runtime = join(dirname(dirname(main)), 'bin', 'napi-v6', process.platform, process.arch, 'libonnxruntime.so.1');

/** onnxruntime-node's own library, asked through the C API. */
export const onCpu: NativeLibraries = { runtime, libraries: [] };

/** Put behind the name of what needs the library. */
export const without = existsSync(runtime) ? '' : ` (left out: no ${runtime})`;
