import { execFileSync } from 'node:child_process';
import { readFileSync, statfsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** The view of a machine that the search for CUDA uses; tests pass their own. */
export interface Machine {
  /** In Node's terms: `linux/x64`. */
  readonly platform: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder that replaces `/` for system folders. */
  readonly root: string;
  readonly home: string;
  /** The installed onnxruntime-node: its version, and the folder of its `libonnxruntime.so.1`. */
  readonly onnxruntime: { readonly version: string; readonly folder: string };
  /** What `ldconfig -p` prints; nothing where there is none. */
  ldconfig(): string;
  /** Folders of Python packages of the `python3` on `PATH`; none where there is no Python. */
  sitePackages(): readonly string[];
  /** Bytes that may still be written to a folder's disk. */
  room(folder: string): number;
}

/** The machine that this process runs on. */
export function thisMachine(): Machine {
  return {
    platform: `${process.platform}/${process.arch}`,
    env: process.env,
    root: '/',
    home: homedir(),
    onnxruntime: installedRuntime(),
    ldconfig: () =>
      firstOutput([
        ['ldconfig', '-p'],
        ['/sbin/ldconfig', '-p'],
        ['/usr/sbin/ldconfig', '-p'],
      ]),
    sitePackages: () => {
      const printed = firstOutput([
        [
          'python3',
          '-c',
          'import json, site, sysconfig; print(json.dumps([sysconfig.get_paths()["purelib"], *site.getsitepackages(), site.getusersitepackages()]))',
        ],
      ]);
      return printed === '' ? [] : [...new Set(JSON.parse(printed) as string[])];
    },
    room: (folder) => {
      const { bavail, bsize } = statfsSync(folder);
      return bavail * bsize;
    },
  };
}

/** Default folder of `segr1 gpu install`: outside `node_modules`, so reinstalling packages keeps it. */
export function defaultInstallFolder({
  env,
  home,
  onnxruntime,
}: Pick<Machine, 'env' | 'home' | 'onnxruntime'>): string {
  return join(env['XDG_CACHE_HOME'] || join(home, '.cache'), 'segr1', `cuda-${onnxruntime.version}`);
}

function installedRuntime(): Machine['onnxruntime'] {
  const main = createRequire(import.meta.url).resolve('onnxruntime-node');
  const root = dirname(dirname(main));
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return { version, folder: join(root, 'bin', 'napi-v6', process.platform, process.arch) };
}

/** Standard output of the first command that exits with 0. */
function firstOutput(commands: readonly (readonly string[])[]): string {
  for (const [program = '', ...args] of commands) {
    try {
      return execFileSync(program, args, {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
        timeout: 10_000,
        maxBuffer: 1 << 24,
      });
    } catch {
      continue;
    }
  }
  return '';
}
