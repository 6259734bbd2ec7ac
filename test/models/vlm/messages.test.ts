import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import type { Gradient, GradientRequest, Loss, ScoreRequest, TrainRow } from '../../../src/models/policy.js';
import type { VlmPolicy } from '../../../src/models/vlm/policy.js';
import { promptInputs } from '../../../src/models/vlm/prompt-loss.js';
import { patchMaskHead } from '../../../src/models/vlm/supervised.js';
import { grpo } from '../../../src/objectives/policy-gradient.js';
import { wires } from '../wire.js';
import { asking, lessons, prompts, writing } from './lessons.js';
import { folder, open } from './opened.js';

const ownModule = fileURLToPath(new URL('./own-objective.ts', import.meta.url));

/** JSON has no negative zero. */
function unsigned({ gradient, metrics }: Gradient): Gradient {
  return { gradient, metrics: Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, value + 0])) };
}

/** One supervised answer about an image. */
function answered(policy: VlmPolicy): TrainRow {
  const [prompt] = prompts(policy);
  const answer = policy.encodeAnswer('<bbox>[1,2,30,40]</bbox>');
  return {
    prompt,
    completions: [answer],
    perToken: { weight: [answer.map(() => 1 / answer.length)], soft: [answer.map((_, t) => Number(t < 9))] },
    perPrompt: { patchShare: Float32Array.from({ length: 16 }, (_, i) => i / 16), patchWeight: Float32Array.of(1) },
  };
}

describe.each(wires)("a policy's requests and answers cross a wire as %s, and nothing changes:", (_, wire) => {
  it('completions', async () => {
    const policy = await open({ batch: 2 });
    const request = asking(prompts(policy).slice(0, 3), { ...writing, topP: 0.9, entropy: true });
    const written = await policy.generate(request);
    expect(await wire(request, (it) => policy.generate(it))).toEqual(written);
    const uniforms = request.prompts.map(() => Float32Array.from({ length: 36 }, (__, i) => (i % 7) / 7));
    const drawn = { ...request, random: { uniforms } };
    expect(await wire(drawn, (it) => policy.generate(it))).toEqual(await policy.generate(drawn));
    expect(await wire(drawn, (it) => policy.generate(it))).not.toEqual(written);
  });

  it('log-probs', async () => {
    const policy = await open({ train: 'full' });
    const request: ScoreRequest = { rows: lessons(policy, 2), temperature: 0.9 };
    expect(await wire(request, (it) => policy.scores(it))).toEqual(await policy.scores(request));
    expect(await wire(request, (it) => policy.referenceScores(it))).toEqual(await policy.referenceScores(request));
  });

  it('gradients of an objective by name, and of one that a module exports', async () => {
    const policy = await open();
    const rows = lessons(policy, 2).slice(0, 2);
    const asked = (loss: Loss): GradientRequest => ({ loss, rows, temperature: 1 });
    const inProcess = await policy.gradient(asked({ objective: grpo(0.04, { low: 0.1, high: 0.3 }) }));
    const named: Loss = { objective: { name: 'grpo', options: { kl: 0.04, clip: 0.1, clipHigh: 0.3 } } };
    expect(unsigned(await wire(asked(named), (it) => policy.gradient(it)))).toEqual(unsigned(inProcess));
    const own: Loss = { objective: { module: ownModule } };
    expect(unsigned(await wire(asked(own), (it) => policy.gradient(it)))).toEqual(
      unsigned(await policy.gradient(asked({ objective: { name: 'grpo', options: { kl: 0.04 } } }))),
    );
  });

  it('gradients of given answers', async () => {
    const policy = await open({ extra: patchMaskHead });
    for (const prompt of ['masked', 'learned'] as const) {
      const row = answered(policy);
      const learned = promptInputs(policy.config, row.prompt);
      const request: GradientRequest = {
        loss: { supervised: { patchMask: 0.5, softNumbers: 2, prompt } },
        rows: [prompt === 'masked' ? row : { ...row, perPrompt: { ...row.perPrompt, ...learned } }],
        temperature: 1,
      };
      const expected = await policy.gradient(request);
      expect(expected.metrics['patches']).toBeGreaterThan(0);
      expect(unsigned(await wire(request, (it) => policy.gradient(it)))).toEqual(unsigned(expected));
    }
  });
});

describe('a policy', () => {
  it('says which objectives it knows, and what is wrong with a module', async () => {
    const policy = await open();
    const rows = lessons(policy, 2).slice(0, 1);
    const refused = (loss: Loss) => expect(policy.gradient({ loss, rows, temperature: 1 })).rejects;
    await refused({ objective: { name: 'ppo' } }).toThrow(
      /^objective: expected grpo\|bnpo\|.*, or a module; got "ppo"$/,
    );
    await refused({ objective: { name: 'sapo', options: { clip: 0.1 } } }).toThrow(
      /^objective sapo: expected options that it has; got .*expected an objective that has it, of grpo/s,
    );
    const empty = join(await folder(), 'empty.mjs');
    await writeFile(empty, 'export const other = 1;\n');
    await refused({ objective: { module: empty } }).toThrow(
      'expected a module that exports "objective"; got other in ',
    );
    await refused({ objective: { module: join(empty, 'nowhere.mjs') } }).toThrow('expected a module that loads; got ');
  });
});
