import { rm } from 'node:fs/promises';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import * as devices from '../../../src/models/device.js';
import { noticesOf } from '../../../src/pipelines/config/notices.js';
import { settledOptimizer, type Settled } from '../../../src/pipelines/config/optimizer.js';
import { readPipeline, resolvedYaml, type Pipeline } from '../../../src/pipelines/config/read.js';
import { pipelineContext } from '../../../src/pipelines/stage.js';
import { folder } from '../files.js';
import { hollowQwen } from '../../cuda/hollow.js';

vi.mock('../../../src/models/device.js', async (original) => ({
  ...(await original<typeof devices>()),
  checkDevice: vi.fn<typeof devices.checkDevice>(),
  roomOn: vi.fn<typeof devices.roomOn>(),
}));

let published = '';
beforeAll(async () => void (published = await hollowQwen({ dtype: 'BF16' })));
afterAll(() => rm(published, { recursive: true }));
const GROUPS = 'rollout: { group: 8, maxTokens: 400 }, parse, mask, reward, advantage, update: { objective: grpo }';
/** Weights and two moments of 3,754,622,976 weights, as `segr1 models inspect` counts them. */
const HOST = 45.1e9;

function read(room: number | undefined, policy = '', stages = GROUPS): Promise<Pipeline> {
  vi.mocked(devices.roomOn).mockReturnValue(room);
  const file = folder().file(
    'run.yaml',
    `
policy: { checkpoint: ${JSON.stringify(published)}, precision: bfloat16, gradientCheckpointing: true${policy} }
segmenter: { kind: grabcut }
stages: [load: { scenes: { count: 8 } }, ${stages}]
`,
  );
  return readPipeline(file);
}

/** Where it comes to be on a GPU with so much room, beside a host with so much. */
async function settled(room: number | undefined, host: number, policy = '', stages = GROUPS): Promise<Settled> {
  const { settings, stages: own } = await read(room, policy, stages);
  const options = { ...settings.policy, optimizer: 'auto', device: 'cuda:0' } as NonNullable<typeof settings.policy>;
  return settledOptimizer(
    pipelineContext(settings, own),
    options,
    () => room,
    () => host,
  );
}

describe('settledOptimizer', () => {
  // The sums are those of `segr1 models inspect --device cuda`: 77.5 GB with the optimizer there, 32.4 without.
  it('takes the device where it has room, a tenth more than what is counted', async () => {
    expect(await settled(86e9, 64e9)).toEqual({ optimizer: 'device' });
    expect(await settled(85e9, 64e9)).toMatchObject({ optimizer: 'host' });
  });

  it('takes the host otherwise, and says why', async () =>
    expect(await settled(72e9, 64e9)).toEqual({
      optimizer: 'host',
      notice:
        'optimizer: host, for an update of one prompt would take 77.5 GB of the device, which has 72.0 GB; so it takes 32.4 GB, and 45.1 GB of the host',
    }));

  it('leaves it on a device that is too small where the host is too small as well', async () => {
    expect(await settled(72e9, HOST - 1e8)).toEqual({ optimizer: 'device' });
    expect(await settled(72e9, HOST)).toMatchObject({ optimizer: 'host' });
  });

  it('counts an answer where nothing is sampled', async () =>
    expect(await settled(72e9, 64e9, '', 'fit, sft: { rowsPerStep: 8 }')).toMatchObject({ optimizer: 'host' }));

  it.each([
    ['an adapter', ', train: { lora: { targets: [q_proj] } }', GROUPS],
    ['a policy that does not learn', '', 'rollout: { group: 8 }, parse, mask, reward, tally'],
  ])('is the device of %s', async (_, policy, stages) =>
    expect(await settled(1e9, 64e9, policy, stages)).toEqual({ optimizer: 'device' }),
  );

  it('is the device where nobody knows its room', async () =>
    expect(await settled(undefined, 64e9)).toEqual({ optimizer: 'device' }));
});

describe('a pipeline', () => {
  it('records where the optimizer is, and says nothing of what was asked for', async () => {
    const asked = await read(72e9, ', device: cuda, optimizer: host');
    expect(resolvedYaml(asked)).toContain('optimizer: host');
    expect(asked.settled).toBeUndefined();
    expect(resolvedYaml(await read(1e9))).toContain('optimizer: device');
  });

  it('tells what it settled, once, and reads back from its record as it was', async () => {
    vi.spyOn(process, 'constrainedMemory').mockReturnValue(64e9);
    const [{ totalmem }, { hostMemory }] = [await import('node:os'), await import('../../../src/gpu/host-memory.js')];
    const enough = hostMemory() >= HOST;
    expect(hostMemory()).toBe(Math.min(64e9, totalmem()));
    const pipeline = await read(72e9, ', device: cuda');
    const told = (await noticesOf(pipeline)).filter((text) => text.startsWith('policy  optimizer: host, for'));
    expect(told).toHaveLength(enough ? 1 : 0);
    expect(pipeline.settings.policy?.optimizer).toBe(enough ? 'host' : 'device');
    vi.mocked(devices.roomOn).mockReturnValue(200e9);
    const again = await readPipeline(folder().file('again.yaml', resolvedYaml(pipeline)));
    expect(again.settings.policy?.optimizer).toBe(pipeline.settings.policy?.optimizer);
    expect(again.settled).toBeUndefined();
  });

  it('refuses another place', async () =>
    expect(read(1e9, ', optimizer: disk')).rejects.toThrow(
      /policy\.optimizer: expected .*auto.*device.*host.*; got "disk"/,
    ));
});
