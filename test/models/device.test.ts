import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { bytesOf, deviceOf, deviceShape, workersOn } from '../../src/models/device.js';

const Options = z.strictObject(deviceShape);

describe('deviceShape', () => {
  it('is the CPU in float32 by default', () =>
    expect(Options.parse({})).toEqual({ device: 'cpu', precision: 'float32', tf32: false }));

  it.each(['cpu', 'cuda', 'cuda:0', 'cuda:12', 'auto'])('takes %s', (device) =>
    expect(Options.parse({ device }).device).toBe(device),
  );

  it.each(['gpu', 'cuda:', 'cuda:-1', 'cuda0', 'CUDA', ''])('refuses the device %j', (device) => {
    expect(Options.safeParse({ device }).error?.issues[0]?.message).toBe('expected cpu, cuda, cuda:N or auto');
  });

  it.each(['20', '20gb', '-1GB', 'GB', '1e3GB'])('refuses the size %j', (memory) => {
    expect(Options.safeParse({ memory }).error?.issues[0]?.message).toBe('expected a size such as 20GB or 900MiB');
  });
});

it.each([
  ['20GB', 20e9],
  ['1.5 GB', 1.5e9],
  ['900MiB', 900 * 2 ** 20],
  ['2GiB', 2 ** 31],
  ['100 MB', 1e8],
])('%s is %i bytes', (size, bytes) => expect(bytesOf(size)).toBe(bytes));

it('the CPU has no options of its own', () =>
  expect(deviceOf({ device: 'cpu', memory: '1GB', tf32: true })).toEqual({ kind: 'cpu' }));

it('a GPU is fed by one thread, however many are allowed', () => {
  expect([workersOn({ kind: 'cpu' }, 3), workersOn({ kind: 'cuda', index: 0 }, 3)]).toEqual([3, 1]);
});
