import { afterEach, describe, expect, it, vi } from 'vitest';

import { CudaMissingError } from '../../../src/gpu/find.js';
import * as devices from '../../../src/models/device.js';
import { readPipeline, resolvedYaml } from '../../../src/pipelines/config/read.js';
import { fixturesFolder } from '../../golden/golden.js';
import { folder, refusal } from '../files.js';

const CHECKPOINT = `${fixturesFolder()}/policy/tiny-qwen2_5_vl`;

/** A pipeline that trains, with options of its policy. */
const training = (policy: string): string =>
  `window: 2\npolicy: { checkpoint: ${CHECKPOINT}, ${policy} }\nsegmenter: { kind: grabcut }\n` +
  'stages: [{ load: { scenes: { count: 4 }, frame: 56 } }, { rollout: { group: 2 } }, parse, mask, reward, advantage, { update: { groupsPerStep: 2 } }, write]\n';
const evaluating = (policy: string): string =>
  training(policy).replace(', advantage, { update: { groupsPerStep: 2 } }', '');

const lines = async (text: string): Promise<string[]> =>
  (await refusal(readPipeline(folder().file('p.yaml', text)))).split('\n');

vi.mock('../../../src/models/device.js', async (original) => ({
  ...(await original<typeof devices>()),
  checkDevice: vi.fn<typeof devices.checkDevice>(),
  fastestDevice: vi.fn<typeof devices.fastestDevice>(),
}));
afterEach(() => vi.clearAllMocks());

describe('a device', () => {
  it('that is not there is refused at its place, a line a missing piece', async () => {
    const missing = ['driver', 'provider'] as const;
    vi.mocked(devices.checkDevice).mockImplementation(() => {
      throw new CudaMissingError(
        missing.map((piece) => ({ piece, message: `cuda  ${piece}: expected one; got none`, names: [] })),
      );
    });
    expect(await lines(evaluating('device: cuda'))).toEqual(
      missing.map(
        (piece) =>
          expect.stringMatching(
            new RegExp(`^p\\.yaml:2:\\d+  policy\\.device: cuda  ${piece}: expected one; got none$`),
          ) as string,
      ),
    );
  });

  it('is settled where it may be any, and written down', async () => {
    vi.mocked(devices.checkDevice).mockImplementation(() => undefined);
    vi.mocked(devices.fastestDevice).mockReturnValue('cuda:0');
    const pipeline = await readPipeline(folder().file('p.yaml', evaluating('device: auto')));
    expect(pipeline.settings.policy?.device).toBe('cuda:0');
    expect(resolvedYaml(pipeline)).toContain('device: cuda:0');
    vi.mocked(devices.fastestDevice).mockReturnValue('cpu');
    expect((await readPipeline(folder().file('p.yaml', evaluating('device: auto')))).settings.policy?.device).toBe(
      'cpu',
    );
  });
});

describe('float16', () => {
  it('is refused where weights learn', async () => {
    expect((await lines(training('precision: float16')))[0]).toMatch(
      /policy\.precision: expected bfloat16 or float32 where weights learn, .*; got float16$/,
    );
  });

  it('is let through where none do', async () =>
    expect(
      (await readPipeline(folder().file('p.yaml', evaluating('precision: float16')))).settings.policy?.precision,
    ).toBe('float16'));
});
