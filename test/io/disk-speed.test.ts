import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { diskSpeed } from '../../src/io/disk-speed.js';
import { folder } from '../pipelines/files.js';

describe('diskSpeed', () => {
  it('measures and leaves nothing', () => {
    const { path } = folder();
    const { folder: measured, write, read } = diskSpeed(path, 1);
    expect(measured).toBe(path);
    expect(Math.min(write, read)).toBeGreaterThan(0.1);
    expect(Math.max(write, read)).toBeLessThan(1e6);
    expect(readdirSync(path)).toEqual([]);
  });
  it('takes the nearest folder that is there, and makes none', () => {
    const { path, file } = folder();
    expect(diskSpeed(join(path, 'runs/none'), 1).folder).toBe(path);
    expect(diskSpeed(join(file('a-file', ''), 'runs'), 1).folder).toBe(path);
    expect(existsSync(join(path, 'runs'))).toBe(false);
  });
  it('says where nothing can be written', () => {
    expect(() => diskSpeed('/proc/self', 1)).toThrow(/\/proc\/self/);
  });
});
