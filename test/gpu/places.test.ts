import { mkdirSync } from 'node:fs';
import { join, relative } from 'node:path';

import { describe, expect, it } from 'vitest';

import { places } from '../../src/gpu/places.js';
import { madeMachine, toolkit } from './machines.js';

describe('places', () => {
  const files = {
    'given/x': '',
    'given/nvidia/cu13/lib/x': '',
    'more/x': '',
    'home/.cache/segr1/cuda-1.30.0/nvidia/cudnn/lib/x': '',
    'ld/x': '',
    'conda/lib/x': '',
    ...toolkit('usr/local/cuda-12.9/lib64', 12),
    ...toolkit('usr/local/cuda-13.0/lib64'),
    ...toolkit('usr/local/cuda-13.10/lib64'),
    'opt/cuda/lib/x': '',
    'usr/lib/x86_64-linux-gnu/x': '',
    'python/nvidia/cublas/lib/x': '',
    'python/nvidia/cu12/lib/x': '',
    'python/nvidia/cu13/lib/x': '',
    'python/onnxruntime/capi/x': '',
  };
  const options = {
    env: { SEGR1_CUDA: 'ROOT/given:ROOT/more', LD_LIBRARY_PATH: 'ROOT/ld:/nowhere', CONDA_PREFIX: 'ROOT/conda' },
    ldconfig:
      '\tlibcudart.so.13 (libc6,x86-64) => ROOT/opt/cuda/lib/libcudart.so.13\n\tlibz.so.1 (libc6,x86-64) => ROOT/ld/libz.so.1\n',
    python: ['ROOT/python'],
  };
  const seen = (machine: ReturnType<typeof madeMachine>, without?: string): string[] =>
    [...places(machine, without)].map(({ folder }) => relative(machine.root, folder));

  it('are those that are there, in the order in which they are looked at', () => {
    expect(seen(madeMachine(files, options))).toEqual([
      'given',
      'given/nvidia/cu13/lib',
      'more',
      'home/.cache/segr1/cuda-1.30.0',
      'home/.cache/segr1/cuda-1.30.0/nvidia/cudnn/lib',
      'node_modules/onnxruntime-node',
      'ld',
      'conda/lib',
      'usr/local/cuda-13.10/lib64',
      'usr/local/cuda-13.0/lib64',
      'usr/local/cuda-12.9/lib64',
      'opt/cuda/lib',
      'usr/lib/x86_64-linux-gnu',
      'python/nvidia/cu13/lib',
      'python/nvidia/cu12/lib',
      'python/nvidia/cublas/lib',
      'python/onnxruntime/capi',
    ]);
  });
  it('come once, by whatever name', () => {
    const machine = madeMachine({ ...toolkit('usr/local/cuda-13.0/lib64'), 'usr/local/cuda': '-> cuda-13.0' });
    expect(seen(machine)).toEqual(['node_modules/onnxruntime-node', 'usr/local/cuda/lib64']);
  });
  it('take what segr1 installed from XDG_CACHE_HOME', () => {
    expect(seen(madeMachine({ 'cache/segr1/cuda-1.30.0/x': '' }, { env: { XDG_CACHE_HOME: 'ROOT/cache' } }))[0]).toBe(
      'cache/segr1/cuda-1.30.0',
    );
  });
  it('leave out a folder and those in it', () => {
    const machine = madeMachine(files, options);
    mkdirSync(join(machine.root, 'given-2'));
    expect(seen(machine, join(machine.root, 'given')).slice(0, 2)).toEqual(['more', 'home/.cache/segr1/cuda-1.30.0']);
  });
  it('ask Python last, and once', () => {
    const machine = madeMachine(files, options);
    const where = places(machine);
    for (const { why } of where) if (why === 'the system') break;
    expect(machine.asked).toBe(0);
    expect([...where]).toEqual([...where]);
    expect(machine.asked).toBe(1);
  });
});
