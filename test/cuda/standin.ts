import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, linkSync, mkdirSync, rmSync, symlinkSync, copyFileSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What runs graphs on CUDA without a device. */
export interface Standin {
  /** Folder of the libraries that take CUDA's place. */
  readonly libraries: string;
  /** Folder in which `onnxruntime-node` is found, with ONNX Runtime's own CUDA provider. */
  readonly runtime: string;
}

const here = fileURLToPath(new URL('.', import.meta.url));
const cache = join(here, '..', '..', '.cache');
const PROVIDER = 'libonnxruntime_providers_cuda.so';
const BRIDGE = 'libonnxruntime_providers_shared.so';

/**
 * The stand-in, built where it is older than its sources; or why there is none, as a test's name says it.
 *
 * The provider is looked for in the folders of `SEGR1_CUDA`, and where `scripts/fetch-provider.sh` puts it.
 */
export function findStandin(): Standin | { readonly lacks: string } {
  if (process.platform !== 'linux' || process.arch !== 'x64') return { lacks: `the CUDA provider is for linux/x64, this is ${process.platform}/${process.arch}` };
  if (spawnSync('gcc', ['--version']).error) return { lacks: 'there is no gcc' };
  const installed = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const { version } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as { readonly version: string };
  const folders = [...(process.env['SEGR1_CUDA'] ?? '').split(delimiter).filter((folder) => folder !== ''), join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'segr1', `cuda-${version}`)];
  const provider = folders.find((folder) => existsSync(join(folder, PROVIDER)));
  if (provider === undefined) return { lacks: `there is no ${PROVIDER} in ${folders.join(' or ')}: scripts/fetch-provider.sh` };
  const libraries = join(cache, 'standin');
  execFileSync(join(here, 'standin', 'build.sh'), [libraries], { stdio: 'pipe' });
  return { libraries, runtime: withProvider(installed, provider, join(cache, `onnxruntime-${version}`)) };
}

/** A copy of onnxruntime-node with the provider beside its library, where that looks for it. */
function withProvider(installed: string, provider: string, to: string): string {
  const modules = join(to, 'node_modules');
  const bin = join('bin', 'napi-v6', 'linux', 'x64');
  const own = join(modules, 'onnxruntime-node');
  if (!existsSync(join(own, bin, PROVIDER))) {
    rmSync(to, { recursive: true, force: true });
    mkdirSync(join(own, bin), { recursive: true });
    cpSync(join(dirname(installed), 'onnxruntime-common'), join(modules, 'onnxruntime-common'), { recursive: true });
    for (const part of ['package.json', 'dist', 'lib']) cpSync(join(installed, part), join(own, part), { recursive: true });
    for (const file of ['libonnxruntime.so.1', 'onnxruntime_binding.node']) linkOrCopy(join(installed, bin, file), join(own, bin, file));
    for (const file of [BRIDGE, PROVIDER]) symlinkSync(join(provider, file), join(own, bin, file));
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
