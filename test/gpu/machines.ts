import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import type { Machine } from '../../src/gpu/machine.js';
import { folder } from '../pipelines/files.js';
import { providerFile, runtimeFile } from './shared-objects.js';

export const VERSION = '1.30.0';
export const COMMIT = 'f2c39fe2f';

/**
 * A machine in a temporary folder. Files are made of their names: empty, or with what is given; `-> NAME` makes a link.
 */
export interface MadeMachine extends Machine {
  /** How often Python was asked. */
  asked: number;
}

export function madeMachine(
  files: Readonly<Record<string, string | Buffer>> = {},
  {
    env = {},
    ldconfig = '',
    python = [],
  }: { env?: Readonly<Record<string, string>>; ldconfig?: string; python?: readonly string[] } = {},
): MadeMachine {
  const root = folder().path;
  const onnxruntime = { version: VERSION, folder: join(root, 'node_modules/onnxruntime-node') };
  put(root, { 'node_modules/onnxruntime-node/libonnxruntime.so.1': runtimeFile(COMMIT), ...files });
  const here = (text: string): string => text.replaceAll('ROOT', root);
  return {
    platform: 'linux/x64',
    env: Object.fromEntries(Object.entries(env).map(([name, value]) => [name, here(value)])),
    root,
    home: join(root, 'home'),
    onnxruntime,
    asked: 0,
    ldconfig: () => here(ldconfig),
    sitePackages() {
      this.asked += 1;
      return python.map(here);
    },
    room: () => 1e12,
  };
}

/** Puts files into a folder. */
export function put(root: string, files: Readonly<Record<string, string | Buffer>>): void {
  for (const [name, content] of Object.entries(files)) {
    const file = join(root, name);
    mkdirSync(dirname(file), { recursive: true });
    if (typeof content === 'string' && content.startsWith('-> ')) symlinkSync(content.slice(3), file);
    else writeFileSync(file, content);
  }
}

/** Folders' contents, to be spread into `madeMachine`'s files. */
export const driver = (version: string, at = 'usr/lib/x86_64-linux-gnu'): Record<string, string> => ({
  [`${at}/libcuda.so.${version}`]: '',
  [`${at}/libcuda.so.1`]: `-> libcuda.so.${version}`,
});
export const toolkit = (at: string, major = 13): Record<string, string> => ({
  [`${at}/libcudart.so.${major}`]: '',
  [`${at}/libcublas.so.${major}`]: '',
  [`${at}/libcublasLt.so.${major}`]: '',
  [`${at}/libcurand.so.10`]: '',
});
export const cudnn = (at: string, cuda = 13): Record<string, string> => ({
  [`${at}/libcudnn.so.9`]: '',
  [`${at}/libcudnn_adv.so.9`]: `\0libcublasLt.so.${cuda}\0`,
});
export const provider = (at: string, version = VERSION, cuda = 13): Record<string, Buffer> => ({
  [`${at}/libonnxruntime_providers_cuda.so`]: providerFile(version, cuda),
  [`${at}/libonnxruntime_providers_shared.so`]: Buffer.alloc(0),
  [`${at}/libonnxruntime.so.1`]: runtimeFile(COMMIT),
});
