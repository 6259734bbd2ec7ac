import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { carryFrame, frameFault, trainedFrame } from '../../src/models/frame.js';
import { folder } from './vlm/opened.js';

async function checkpoint(config: string, adapter = false): Promise<string> {
  const dir = await folder();
  await writeFile(join(dir, adapter ? 'adapter_config.json' : 'config.json'), config);
  return dir;
}

describe('the frame of a checkpoint', () => {
  it.each([
    ['{"model_type": "qwen2_5_vl", "rms_norm_eps": 1e-06}', { width: 112, height: 112 }],
    ['{"segr1": {"wallpaper": true, "frame": 768}}', { width: 112, height: 56 }],
  ])('is carried in %s', async (config, frame) => {
    const dir = await checkpoint(config);
    await carryFrame(dir, frame);
    expect(await trainedFrame(dir)).toEqual(frame);
    const text = await readFile(join(dir, 'config.json'), 'utf8');
    expect(JSON.parse(text)).toMatchObject({
      ...JSON.parse(config),
      segr1: { frame: frame.width === frame.height ? 112 : [112, 56] },
    });
    expect(text.includes('1e-06')).toBe(config.includes('1e-06'));
  });

  it('lies beside an adapter, and counts before that of the base', async () => {
    const base = await checkpoint('{"segr1": {"frame": 768}}');
    const adapter = await checkpoint('{"peft_type": "LORA"}', true);
    expect(await trainedFrame(base, adapter)).toEqual({ width: 768, height: 768 });
    await carryFrame(adapter, { width: 448, height: 448 });
    expect(await trainedFrame(base, adapter)).toEqual({ width: 448, height: 448 });
    expect(await readFile(join(adapter, 'adapter_config.json'), 'utf8')).toBe('{"peft_type": "LORA"}');
    await rm(join(adapter, 'segr1.json'));
    expect(await trainedFrame(base, adapter)).toEqual({ width: 768, height: 768 });
  });

  it('is unknown in a released one, and refused where it is no frame', async () => {
    expect(await trainedFrame(await checkpoint('{}'))).toBeUndefined();
    const dir = await checkpoint('{"segr1": {"frame": 0}}');
    await expect(trainedFrame(dir)).rejects.toThrow(
      `${join(dir, 'config.json')}  segr1.frame: expected a positive integer; got 0`,
    );
  });

  it('is named where another is asked for', async () => {
    const dir = await checkpoint('{"segr1": {"frame": 112}}');
    const square = (side: number) => ({ width: side, height: side });
    expect(await frameFault(square(112), dir)).toBeUndefined();
    expect(await frameFault(square(768), dir)).toBe(
      `expected 112, the frame that ${dir} was trained in and writes its pixels in; got 768`,
    );
    expect(await frameFault(square(768), await checkpoint('{}'))).toBeUndefined();
  });
});
