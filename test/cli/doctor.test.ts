import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';

import { adviceOn } from '../../src/cli/advice.js';
import { checkUp, type Checkup, type DeviceReport } from '../../src/cli/checkup.js';
import type { Trial } from '../../src/cli/device-trial.js';
import { textOf } from '../../src/cli/doctor.js';
import { cudnn, driver, madeMachine, provider, toolkit } from '../gpu/machines.js';
import { folder } from '../pipelines/files.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const runs = folder().path;
const complete = {
  ...driver('580.65.06'),
  ...provider('home/.cache/segr1/cuda-1.30.0'),
  ...toolkit('usr/local/cuda/lib64'),
  ...cudnn('usr/lib64'),
};
const card = { name: 'NVIDIA RTX 4090', memory: 25.2e9, capability: '8.9' };

const cpu: DeviceReport = {
  engine: 'onnx',
  device: 'cpu',
  name: 'Some CPU',
  version: '1.30.0',
  works: true,
  speed: { float32: 123.4 },
  errors: [],
};
const gpu: DeviceReport = {
  engine: 'onnx',
  device: 'cuda:0',
  ...card,
  version: '1.30.0',
  driver: '580.65.06',
  free: 24.9e9,
  works: true,
  speed: { float32: 50_000, bfloat16: 160_000, float16: 155_000 },
  errors: [],
};
const checkup = (more: Partial<Checkup> = {}): Checkup => ({
  segr1: '0.3.0',
  node: '22.1.0',
  cpu: { model: 'Some CPU', cores: 16 },
  memory: { total: 64e9, free: 60e9 },
  disk: { folder: '/some/runs', write: 900, read: 3000 },
  devices: [cpu],
  missing: [],
  ...more,
});

/** Answers in place of processes; what was tried, in order. */
function attempts(answers: Readonly<Record<string, unknown>>): {
  attempt: (trial: Trial) => Promise<unknown>;
  tried: Trial[];
} {
  const tried: Trial[] = [];
  const attempt = async (trial: Trial): Promise<unknown> => {
    tried.push(trial);
    const answer = answers[trial.kind === 'cuda' ? `cuda:${trial.index}` : trial.kind];
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { attempt, tried };
}

describe('checkUp', () => {
  it('tries the CPU, then each GPU with what was found for it', async () => {
    const machine = madeMachine(complete);
    const { attempt, tried } = attempts({
      cpu: { speed: { float32: 100 }, errors: [] },
      list: [
        { index: 0, ...card },
        { index: 1, ...card },
      ],
      'cuda:0': { speed: { float32: 5e4 }, errors: [], free: 2e10 },
      'cuda:1': new Error('trial of cuda: expected an answer; got a process that ended by SIGSEGV'),
    });
    const { devices, missing } = await checkUp({ machine, attempt, runs });
    expect(tried.map(({ kind }) => kind)).toEqual(['cpu', 'list', 'cuda', 'cuda']);
    expect(tried[2]).toMatchObject({
      index: 0,
      runtime: { provider: join(machine.root, 'home/.cache/segr1/cuda-1.30.0'), cuda: 13 },
    });
    expect(devices.map(({ device, works }) => [device, works])).toEqual([
      ['cpu', true],
      ['cuda:0', true],
      ['cuda:1', false],
    ]);
    expect(devices[1]).toMatchObject({ ...card, driver: '580.65.06', free: 2e10 });
    expect(devices[2]?.errors).toEqual(['trial of cuda: expected an answer; got a process that ended by SIGSEGV']);
    expect(missing).toEqual([]);
  });
  it('lists GPUs that cannot be tried, with what they lack', async () => {
    const { attempt, tried } = attempts({
      cpu: { speed: { float32: 100 }, errors: [] },
      list: [{ index: 0, ...card }],
    });
    const { devices, missing } = await checkUp({ machine: madeMachine(driver('580.65.06')), attempt, runs });
    expect(tried.map(({ kind }) => kind)).toEqual(['cpu', 'list']);
    expect(devices[1]).toMatchObject({ device: 'cuda:0', works: false, errors: [] });
    expect(missing.map(({ piece }) => piece)).toEqual(['provider', 'libraries', 'cudnn']);
  });
  it('tries the first GPU where the driver lists none', async () => {
    const list = new Error('libcuda.so.1  cuInit: expected 0; got 100, no device');
    const works = { speed: { float32: 5e4 }, errors: [] };
    const { attempt, tried } = attempts({
      cpu: works,
      list,
      'cuda:0': { speed: {}, errors: ['cuda  device 0: no device'] },
    });
    const { devices } = await checkUp({ machine: madeMachine(complete), attempt, runs });
    expect(tried.map(({ kind }) => kind)).toEqual(['cpu', 'list', 'cuda']);
    expect(devices[1]).toMatchObject({
      device: 'cuda:0',
      works: false,
      errors: [list.message, 'cuda  device 0: no device'],
    });
    expect(
      (await checkUp({ machine: madeMachine(complete), ...attempts({ cpu: works, list, 'cuda:0': works }), runs }))
        .devices[1],
    ).toMatchObject({ works: true });
  });
  it('goes on where the CPU fails, and where nothing can be written', async () => {
    const { attempt } = attempts({ cpu: new Error('no library') });
    const { devices, disk } = await checkUp({ machine: madeMachine(), attempt, runs: '/proc/self/runs' });
    expect(devices).toMatchObject([{ device: 'cpu', works: false, errors: ['no library'] }]);
    expect(disk).toMatchObject({ folder: '/proc/self/runs', error: expect.any(String) as string });
  });
});

describe('adviceOn', () => {
  const missing = [{ piece: 'driver', message: 'cuda  driver: expected …', names: [] }] as const;
  it.each([
    ['nothing of a machine without a GPU that could be', { missing: [] }, []],
    ['what is missing', { missing }, ['cuda  driver: expected …']],
    ['an older Node', { node: '20.18.1' }, ['Node.js 20.19 or newer: this is 20.18.1']],
    [
      'too little memory',
      { memory: { total: 1e9, free: 5e8 } },
      ['2 GB of memory or more: this process may have 1.0 GB'],
    ],
    [
      'a slow disk',
      { disk: { folder: '/r', write: 12, read: 900 } },
      ['a faster disk for runs (--run DIR): checkpoints are written at 12 MB/s'],
    ],
    [
      'no place for runs',
      { disk: { folder: '/r', error: 'EACCES' } },
      ['a folder for runs that can be written: EACCES'],
    ],
    [
      'few cores, without a GPU',
      { cpu: { model: 'Some CPU', cores: 2 } },
      ['more cores, for without a GPU it is the 2 that compute'],
    ],
    [
      'few cores, with one',
      { cpu: { model: 'Some CPU', cores: 2 }, devices: [cpu, gpu] },
      [
        'policy: { device: cuda:0, precision: bfloat16 } in the pipeline, for bfloat16 is what this card multiplies fastest in',
      ],
    ],
    [
      'a CPU that fails',
      { devices: [{ ...cpu, works: false, speed: {}, errors: ['no library'] }] },
      ['an ONNX Runtime that works on the CPU (npm ci): no library'],
    ],
    [
      'a card without bfloat16',
      { devices: [cpu, { ...gpu, capability: '7.5', speed: { float32: 8000, float16: 50_000 } }] },
      [
        'policy: { device: cuda:0, precision: float16 } in the pipeline, for float16 is what this card multiplies fastest in',
      ],
    ],
    [
      'a card that is too old',
      { devices: [cpu, { ...gpu, capability: '6.1', works: false, speed: {}, errors: ['no kernel image'] }] },
      [
        'cuda:0: a card of compute capability 7.5, 8.0, 8.6, 8.9, 9.0, 12.0; this is 6.1, for which the provider has no kernels',
      ],
    ],
    [
      'a card that is taken',
      { devices: [cpu, { ...gpu, free: 2e9 }] },
      [
        'cuda:0 to itself: other processes have taken 23.2 of 25.2 GB',
        'policy: { device: cuda:0, precision: bfloat16 } in the pipeline, for bfloat16 is what this card multiplies fastest in',
      ],
    ],
    [
      'a card that fails',
      { devices: [cpu, { ...gpu, works: false, speed: {}, errors: ['out of memory', 'more'] }] },
      ['cuda:0 that works: out of memory'],
    ],
  ])('of %s', (_, more, advice) => {
    expect(adviceOn(checkup(more as Partial<Checkup>))).toEqual(advice);
  });
  it('puts what stops everything before what is slow', () => {
    const found = checkup({
      node: '18.0.0',
      disk: { folder: '/r', write: 12, read: 900 },
      missing,
      cpu: { model: 'Some CPU', cores: 1 },
    });
    expect(adviceOn(found).map((line) => line.split(/[ :]/)[0])).toEqual(['Node.js', 'cuda', 'a', 'more']);
  });
  it.each([
    ['8.7', true],
    ['10.0', false],
    ['12.1', true],
    ['7.0', false],
  ])('knows whether %s has kernels', (capability, has) => {
    expect(
      adviceOn(checkup({ devices: [cpu, { ...gpu, capability }] })).some((line) => line.includes('no kernels')),
    ).toBe(!has);
  });
});

describe('textOf', () => {
  it('is a line a fact, and advice with numbers', () => {
    expect(textOf(checkup({ devices: [cpu, gpu] }), ['more', 'of it'])).toBe(`segr1   0.3.0
node    22.1.0
cpu     Some CPU, 16 cores
memory  64.0 GB, 60.0 GB free
disk    /some/runs  writes 900 MB/s, reads back 3000 MB/s
cpu     onnx 1.30.0 works, float32 123 GFLOP/s
cuda:0  onnx 1.30.0 works, NVIDIA RTX 4090, 25.2 GB, 24.9 free, driver 580.65.06, compute capability 8.9, float32 50.0 TFLOP/s, bfloat16 160.0 TFLOP/s, float16 155.0 TFLOP/s

What would make it better, in this order:
1. more
2. of it`);
  });
  it('says what is missing where there is no GPU', () => {
    const missing = (['driver', 'provider', 'libraries', 'cudnn'] as const).map((piece) => ({
      piece,
      message: '',
      names: [],
    }));
    expect(textOf(checkup({ missing }), [])).toMatch(
      /^cuda {4}not here: no driver, no provider, no CUDA libraries, no cuDNN\n\nNothing to mend\.$/m,
    );
  });
});

describe('segr1 doctor', () => {
  it('finds that the CPU of this machine works', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [CLI, 'doctor', '--json'], { cwd: runs });
    const found = JSON.parse(stdout) as Checkup & { advice: string[] };
    expect(Object.keys(found)).toEqual(['segr1', 'node', 'cpu', 'memory', 'disk', 'devices', 'missing', 'advice']);
    expect(found.node).toBe(process.versions.node);
    expect(found.devices[0]).toMatchObject({
      engine: 'onnx',
      device: 'cpu',
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string,
      works: true,
      errors: [],
      speed: { float32: expect.any(Number) as number },
    });
    expect(found.disk).toMatchObject({ folder: runs, write: expect.any(Number) as number });
    expect(found.devices.length > 1 || found.missing.length > 0).toBe(true);
    expect(found.advice.length).toBeGreaterThanOrEqual(found.missing.length);
  });
});
