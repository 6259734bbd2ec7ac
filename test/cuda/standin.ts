import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, linkSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { surveyCuda } from '../../src/gpu/find.js';
import { thisMachine, type Machine } from '../../src/gpu/machine.js';
import { BRIDGE, PROVIDER } from '../../src/gpu/provider.js';

/** What runs graphs on CUDA without a device. */
export interface Standin {
  /** Folder of the libraries that take CUDA's place. */
  readonly libraries: string;
  /** Folder in which `onnxruntime-node` is found, with ONNX Runtime's own CUDA provider. */
  readonly runtime: string;
}

const here = fileURLToPath(new URL('.', import.meta.url));
const cache = join(here, '..', '..', '.cache');

/** The stand-in, built where it is older than its sources, with the provider as `scripts/cuda-provider.sh` fetches it; or why there is none, as a test's name says it. */
export function findStandin(): Standin | { readonly lacks: string } {
  const machine = thisMachine();
  if (machine.platform !== 'linux/x64') return { lacks: `the CUDA provider is for linux/x64, this is ${machine.platform}` };
  if (spawnSync('gcc', ['--version']).error) return { lacks: 'there is no gcc' };
  const libraries = join(cache, 'standin');
  execFileSync(join(here, 'standin', 'build.sh'), [libraries], { stdio: 'pipe' });
  const { provider, missing } = surveyCuda(withLibraries(machine, libraries));
  if (!provider) return { lacks: missing.map(({ message }) => message).join(', ') };
  return { libraries, runtime: withProvider(machine, provider.folder, join(cache, `onnxruntime-${machine.onnxruntime.version}`)) };
}

/** The machine as if its CUDA libraries were the stand-in. */
function withLibraries(machine: Machine, libraries: string): Machine {
  const { SEGR1_CUDA: folders = '', XDG_CACHE_HOME } = machine.env;
  return { ...machine, env: { SEGR1_CUDA: [libraries, folders].join(delimiter), XDG_CACHE_HOME }, ldconfig: () => '', sitePackages: () => [] };
}

/** A copy of onnxruntime-node with the provider beside its library, where that looks for it. */
function withProvider({ onnxruntime }: Machine, provider: string, to: string): string {
  const installed = join(onnxruntime.folder, '..', '..', '..', '..');
  const modules = join(to, 'node_modules');
  const own = join(modules, 'onnxruntime-node');
  const bin = join(own, 'bin', 'napi-v6', 'linux', 'x64');
  if (!existsSync(join(bin, PROVIDER))) {
    rmSync(to, { recursive: true, force: true });
    mkdirSync(bin, { recursive: true });
    cpSync(join(dirname(installed), 'onnxruntime-common'), join(modules, 'onnxruntime-common'), { recursive: true });
    for (const part of ['package.json', 'dist', 'lib']) cpSync(join(installed, part), join(own, part), { recursive: true });
    for (const file of ['libonnxruntime.so.1', 'onnxruntime_binding.node']) linkOrCopy(join(onnxruntime.folder, file), join(bin, file));
    for (const file of [BRIDGE, PROVIDER]) symlinkSync(join(provider, file), join(bin, file));
  }
  return modules;
}

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}
