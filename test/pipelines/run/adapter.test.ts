import { cpSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readPipeline } from '../../../src/pipelines/config/read.js';
import { PolicyOptions } from '../../../src/pipelines/settings.js';
import { fixturesFolder } from '../../golden/golden.js';
import { folder, refusal } from '../files.js';

/** What is said about a policy in front of a rollout, a line each. */
async function said(policy: string): Promise<string[]> {
  const { path, file } = folder();
  cpSync(join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl'), join(path, 'tiny'), { recursive: true });
  const text = `policy: { checkpoint: tiny, ${policy} }\nstages: [{ load: { scenes: { count: 4 }, frame: 64 } }, rollout]\n`;
  return (await refusal(readPipeline(file('p.yaml', text)))).split('\n');
}

describe('policy.train', () => {
  it("fills in an adapter's defaults", () => {
    const { train } = PolicyOptions.parse({ checkpoint: 'x', train: { lora: { targets: ['q_proj'] } } });
    expect(train).toEqual({ lora: { rank: 16, alpha: 32, rsLora: false, targets: ['q_proj'], vision: true } });
  });

  it('is the adapter where one is named, else all', () => {
    expect([
      PolicyOptions.parse({ checkpoint: 'x', adapter: 'y' }).train,
      PolicyOptions.parse({ checkpoint: 'x' }).train,
    ]).toEqual(['adapter', 'full']);
  });

  it.each([
    ['another word', 'train: some', 'p.yaml:1:36  policy.train: expected one of "full"|"adapter"; got "some"'],
    [
      'neither targets nor pattern',
      'train: { lora: { rank: 4 } }',
      'policy.train.lora: expected targets, such as [q_proj, v_proj], or a pattern; got neither',
    ],
    [
      'both',
      'train: { lora: { targets: [q_proj], pattern: x } }',
      'policy.train.lora.pattern: expected targets or a pattern; got both',
    ],
    [
      'a rank of 0',
      'train: { lora: { rank: 0, targets: [q_proj] } }',
      'policy.train.lora.rank: expected at least 1; got 0',
    ],
    [
      'a key that is none',
      'train: { lora: { ranks: 4, targets: [q_proj] } }',
      'policy.train.lora has no option "ranks"; ',
    ],
    [
      'an open bracket',
      'train: { lora: { pattern: "(" } }',
      'policy.train.lora.pattern: expected a regular expression; got "("',
    ],
    [
      'layers that are not there',
      'train: { lora: { targets: [c_attn] } }',
      'policy.train.lora.targets: expected some linear layer; got none for ["c_attn"]; modules are called model.language_model.layers.0.self_attn.q_proj and the like',
    ],
    [
      'what is no linear layer',
      'train: { lora: { pattern: ".*norm" } }',
      'policy.train.lora.pattern: expected linear layers with weights of their own; got model.',
    ],
    [
      'an adapter that is not named',
      'train: adapter',
      'policy.train: expected adapter, the folder of the one that is meant, beside it; got "adapter" without',
    ],
    [
      'other weights than those of a named adapter',
      'adapter: tiny, train: full',
      'policy.train: expected "adapter" where an adapter is opened, for that is what learns; got "full"',
    ],
    [
      'an adapter that is not there',
      'adapter: gone, train: adapter',
      'policy.adapter: expected a file or folder; got "gone"',
    ],
    [
      'a folder without one',
      'adapter: tiny, train: adapter',
      'policy.adapter: tiny/adapter_config.json  checkpoint: expected a readable file; got ',
    ],
  ])('refuses %s', async (_, policy, message) => {
    const lines = await said(policy);
    expect(lines[0]).toContain(message);
    expect(lines).toHaveLength(1);
  });
});
