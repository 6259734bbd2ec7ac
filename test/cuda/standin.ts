import { execFileSync, spawnSync } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { CudaMissingError, findCudaRuntime } from '../../src/gpu/find.js';
import { thisMachine, type Machine } from '../../src/gpu/machine.js';
import type { NativeLibraries } from '../../src/tensor/engine.js';

/** ONNX Runtime with its own CUDA provider, on libraries that take CUDA's place. */
export type Standin = NativeLibraries;

const here = fileURLToPath(new URL('.', import.meta.url));

/**
 * The stand-in, built where it is older than its sources, with the provider as `scripts/cuda-provider.sh` fetches it;
 * or why there is none, as a test's name says it.
 */
export function findStandin(): Standin | { readonly lacks: string } {
  const machine = thisMachine();
  if (machine.platform !== 'linux/x64')
    return { lacks: `the CUDA provider is for linux/x64, this is ${machine.platform}` };
  if (spawnSync('gcc', ['--version']).error) return { lacks: 'there is no gcc' };
  const folder = join(here, '..', '..', '.cache', 'standin');
  execFileSync(join(here, 'standin', 'build.sh'), [folder], { stdio: 'pipe' });
  try {
    const { runtime, libraries } = findCudaRuntime(withLibraries(machine, folder));
    return { runtime, libraries };
  } catch (error) {
    if (!(error instanceof CudaMissingError)) throw error;
    return { lacks: error.missing.map(({ message }) => message).join(', ') };
  }
}

/** The machine as if its CUDA libraries were the stand-in. */
function withLibraries(machine: Machine, libraries: string): Machine {
  const { SEGR1_CUDA: folders = '', XDG_CACHE_HOME } = machine.env;
  return {
    ...machine,
    env: { SEGR1_CUDA: [libraries, folders].join(delimiter), XDG_CACHE_HOME },
    ldconfig: () => '',
    sitePackages: () => [],
  };
}
