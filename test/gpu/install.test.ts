import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { findCudaRuntime } from '../../src/gpu/find.js';
import { installCuda, type InstallOptions } from '../../src/gpu/install.js';
import { readManifest } from '../../src/gpu/manifest.js';
import type { Pip } from '../../src/gpu/pip.js';
import { COMMIT, cudnn, driver, madeMachine, toolkit, VERSION, type MadeMachine } from './machines.js';
import { wheelFiles, writeWheel } from './wheels.js';

const PACKAGES = [
  'onnxruntime-gpu',
  'nvidia-cuda-runtime',
  'nvidia-cublas',
  'nvidia-cuda-nvrtc',
  'nvidia-curand',
  'nvidia-cudnn-cu13',
];

/** A pip that writes the wheel asked for; `fail` says for which requirements it doesn't. */
function madePip(
  wheels = wheelFiles(),
  fail: (requirement: string) => boolean = () => false,
  record?: (line: string) => string,
): { pip: () => Promise<Pip>; asked: string[] } {
  const asked: string[] = [];
  const download = async (requirement: string, to: string): Promise<string> => {
    asked.push(requirement);
    if (fail(requirement))
      throw new Error(`pip  ${requirement}: expected its wheel; got No matching distribution found`);
    mkdirSync(to, { recursive: true });
    const name = (/^[\w-]+/.exec(requirement)?.[0] ?? '').replaceAll('-', '_');
    const { version, files } = wheels[name] ?? { version: '0', files: {} };
    return writeWheel(to, name, version, files, record);
  };
  return { pip: async () => ({ download }), asked };
}

function options(machine: MadeMachine, more: Partial<InstallOptions> = {}): InstallOptions {
  return {
    machine,
    folder: join(machine.home, `.cache/segr1/cuda-${VERSION}`),
    libraries: 'auto',
    pip: madePip().pip,
    report: () => {},
    ...more,
  };
}

const names = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(folder, name)).isFile())
    .toSorted();
const nvidia = [
  'cu13/lib/libcublas.so.13',
  'cu13/lib/libcublasLt.so.13',
  'cu13/lib/libcudart.so.13',
  'cu13/lib/libcurand.so.10',
  'cu13/lib/libnvrtc-builtins.so.13.0',
  'cu13/lib/libnvrtc.so.13',
  'cudnn/lib/libcudnn.so.9',
  'cudnn/lib/libcudnn_adv.so.9',
].map((name) => `nvidia/${name}`);
const own = [
  'libonnxruntime.so.1',
  'libonnxruntime_providers_cuda.so',
  'libonnxruntime_providers_shared.so',
  'manifest.json',
];

describe('installCuda', () => {
  it('puts provider, runtime and libraries where they are found', async () => {
    const machine = madeMachine(driver('580.65.06'));
    const { pip, asked } = madePip();
    const { folder, manifest, fetched, missing } = await installCuda(options(machine, { pip }));
    expect(names(folder)).toEqual([...own, ...nvidia]);
    expect(fetched).toEqual(['onnxruntime-node', ...PACKAGES]);
    expect(asked).toEqual([
      `onnxruntime-gpu==${VERSION}`,
      'nvidia-cuda-runtime>=13,<14',
      'nvidia-cublas>=13,<14',
      'nvidia-cuda-nvrtc>=13,<14',
      'nvidia-curand>=10,<11',
      'nvidia-cudnn-cu13>=9,<10',
    ]);
    expect(manifest).toMatchObject({ format: 1, onnxruntime: VERSION, commit: COMMIT });
    expect(manifest.packages.find(({ name }) => name === 'nvidia-cudnn-cu13')?.version).toBe('9.13.0.50');
    expect(missing).toEqual([]);
    expect(findCudaRuntime(machine)).toMatchObject({ provider: folder, runtime: join(folder, 'libonnxruntime.so.1') });
  });

  it('copies the runtime: a link would be taken for the one in node_modules', async () => {
    const machine = madeMachine();
    const { folder } = await installCuda(options(machine));
    const [copy, original] = [folder, machine.onnxruntime.folder].map((place) =>
      statSync(join(place, 'libonnxruntime.so.1')),
    );
    expect(copy?.ino).not.toBe(original?.ino);
    expect(copy?.size).toBe(original?.size);
  });

  it('does nothing the second time', async () => {
    const machine = madeMachine();
    await installCuda(options(machine));
    const before = readManifest(options(machine).folder);
    const { pip, asked } = madePip();
    expect((await installCuda(options(machine, { pip }))).fetched).toEqual([]);
    expect(asked).toEqual([]);
    expect(readManifest(options(machine).folder)).toEqual(before);
  });

  it.each([
    ['changed', (file: string) => writeFileSync(file, readFileSync(file).fill(1))],
    ['cut', (file: string) => writeFileSync(file, 'x')],
    ['gone', (file: string) => rmSync(file)],
  ])('fetches again what is %s, and that alone', async (_, harm) => {
    const machine = madeMachine();
    const { folder } = await installCuda(options(machine));
    harm(join(folder, 'nvidia/cu13/lib/libcurand.so.10'));
    const lines: string[] = [];
    expect((await installCuda(options(machine, { report: (line) => lines.push(line) }))).fetched).toEqual([
      'nvidia-curand',
    ]);
    expect(lines[0]).toMatch(/^nvidia-curand 10\.4\.0\.35 {2}nvidia\/cu13\/lib\/libcurand\.so\.10: expected .*; got /);
    expect(names(folder)).toEqual([...own, ...nvidia]);
  });

  it('goes on where pip failed before', async () => {
    const machine = madeMachine();
    const broken = madePip(wheelFiles(), (requirement) => requirement.startsWith('nvidia-curand'));
    await expect(installCuda(options(machine, { pip: broken.pip }))).rejects.toThrow(
      'pip  nvidia-curand>=10,<11: expected its wheel; got No matching distribution found',
    );
    expect(names(options(machine).folder)).toEqual([...own, ...nvidia.filter((name) => !/curand|cudnn/.test(name))]);
    expect((await installCuda(options(machine))).fetched).toEqual(['nvidia-curand', 'nvidia-cudnn-cu13']);
  });

  it('begins anew for another build of onnxruntime-node, and drops files of older packages', async () => {
    const machine = madeMachine();
    const { folder } = await installCuda(options(machine));
    const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as {
      packages: { name: string; files: Record<string, object> }[];
    };
    const dnn = manifest.packages.find(({ name }) => name === 'nvidia-cudnn-cu13');
    if (dnn) dnn.files['nvidia/cudnn/lib/libcudnn_old.so.9'] = { bytes: 3, sha256: 'none' };
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
    writeFileSync(join(folder, 'nvidia/cudnn/lib/libcudnn_old.so.9'), 'old');
    expect((await installCuda(options(machine))).fetched).toEqual(['nvidia-cudnn-cu13']);
    expect(names(folder)).toEqual([...own, ...nvidia]);
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ ...manifest, commit: '000000000' }));
    expect((await installCuda(options(machine))).fetched).toEqual(['onnxruntime-node', ...PACKAGES]);
  });

  it('removes what killed calls left, and nothing of those under way', async () => {
    const machine = madeMachine();
    const { folder } = options(machine);
    // Above what Linux gives to processes.
    for (const id of [4_194_305, process.ppid]) mkdirSync(join(folder, `.fetching-${id}/files`), { recursive: true });
    await installCuda(options(machine));
    expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([`.fetching-${process.ppid}`]);
  });
});

describe('libraries', () => {
  it('of the system are used where they are there', async () => {
    const machine = madeMachine({ ...toolkit('usr/local/cuda/lib64'), ...cudnn('usr/lib64') });
    const { fetched, folder } = await installCuda(options(machine));
    expect(fetched).toEqual(['onnxruntime-node', 'onnxruntime-gpu']);
    expect(names(folder)).toEqual(own);
  });
  it('are fetched one by one where some are missing', async () => {
    const machine = madeMachine(toolkit('usr/local/cuda/lib64'));
    expect((await installCuda(options(machine))).fetched).toEqual([
      'onnxruntime-node',
      'onnxruntime-gpu',
      'nvidia-cudnn-cu13',
    ]);
  });
  it('are all fetched as wheels, whatever the system has', async () => {
    const machine = madeMachine({ ...toolkit('usr/local/cuda/lib64'), ...cudnn('usr/lib64') });
    expect((await installCuda(options(machine, { libraries: 'wheels' }))).fetched).toEqual([
      'onnxruntime-node',
      ...PACKAGES,
    ]);
  });
  it("stay the system's where only those are wanted, which is refused before anything is made", async () => {
    const machine = madeMachine(toolkit('usr/local/cuda-12.9/lib64', 12));
    const given = options(machine, { libraries: 'system' });
    await expect(installCuda(given)).rejects.toThrow(
      /^cuda {2}CUDA 13: expected libcudart\.so\.13, .*; got .*libcudart\.so\.12/,
    );
    expect(existsSync(given.folder)).toBe(false);
  });
  it('that were fetched are verified, and not looked for in the system', async () => {
    const machine = madeMachine();
    await installCuda(options(machine));
    expect((await installCuda(options(machine, { libraries: 'auto' }))).fetched).toEqual([]);
  });
});

describe('a wheel is refused', () => {
  it.each([
    [
      'of another version',
      wheelFiles({ version: '1.27.0' }),
      'libonnxruntime_providers_cuda.so: expected version 1.30.0, as onnxruntime-node; got 1.27.0',
    ],
    [
      'of another commit',
      wheelFiles({ commit: '0123abcd9' }),
      'expected a build of commit f2c39fe2f, as onnxruntime-node; got 0123abcd9',
    ],
    [
      'for another CUDA',
      wheelFiles({ cuda: 12 }),
      'libonnxruntime_providers_cuda.so: expected one built for CUDA 13; got one that needs libcublasLt.so.12, ',
    ],
    [
      'without a provider',
      {
        onnxruntime_gpu: {
          version: VERSION,
          files: { 'onnxruntime/capi/libonnxruntime_providers_shared.so': Buffer.from('x') },
        },
      },
      'expected libonnxruntime_providers_cuda.so; got a wheel without',
    ],
    [
      'without libraries',
      { onnxruntime_gpu: { version: VERSION, files: { 'onnxruntime/__init__.py': Buffer.from('x') } } },
      'expected shared libraries; got 3 files and none that is wanted',
    ],
  ])('%s', async (_, wheels, message) => {
    const machine = madeMachine();
    const given = options(machine, { pip: madePip(wheels).pip });
    await expect(installCuda(given)).rejects.toThrow(message);
    expect(names(given.folder)).toEqual(['libonnxruntime.so.1', 'manifest.json']);
  });
  it('that is damaged', async () => {
    const machine = madeMachine();
    const given = options(machine, {
      pip: madePip(wheelFiles(), undefined, (line) => line.replace(/sha256=../, 'sha256=AA')).pip,
    });
    await expect(installCuda(given)).rejects.toThrow(
      /libonnxruntime_providers_cuda\.so: expected \d+ bytes, SHA-256 .*; got /,
    );
  });
});

describe('refused before any work', () => {
  it('a platform without a provider', async () => {
    await expect(installCuda(options({ ...madeMachine(), platform: 'linux/arm64' }))).rejects.toThrow(
      'gpu install: expected linux/x64, for which the CUDA provider is built; got linux/arm64',
    );
  });
  it('a disk without room', async () => {
    const machine = { ...madeMachine(), room: () => 1e9 };
    const { pip, asked } = madePip();
    await expect(installCuda(options(machine, { pip }))).rejects.toThrow(
      /disk: expected 3\d\d\d MB free; got 1000 MB; way out: --dir DIR on another disk/,
    );
    expect(asked).toEqual([]);
  });
  it('a folder that is a file', async () => {
    const machine = madeMachine({ file: '' });
    await expect(installCuda(options(machine, { folder: join(machine.root, 'file') }))).rejects.toThrow(
      /^--dir: expected a folder that can be written; got /,
    );
  });
});
