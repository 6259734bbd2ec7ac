import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { ModelError } from '../../src/errors.js';
import { FAMILIES } from '../../src/models/families.js';
import { coordinatesOf, openPolicy, policyFault, readPolicyConfig } from '../../src/models/policies.js';
import { qwen2_5_vl, readConfig } from '../../src/models/qwen2_5_vl/architecture.js';
import type { QwenConfig } from '../../src/models/qwen2_5_vl/config.js';
import { textRotary } from '../../src/models/qwen2_5_vl/positions.js';
import type { Architecture } from '../../src/models/vlm/architecture.js';
import { sideName } from '../../src/models/vlm/lora.js';
import type { VlmPolicy } from '../../src/models/vlm/policy.js';
import { readPrompt } from '../../src/operators/parse.js';
import { asking, lessons, loss, picture, settings } from './vlm/lessons.js';
import { folder, tiny } from './vlm/opened.js';

/** Qwen2.5-VL's layers on plain positions, with names of its own, which answers in thousandths. */
const toy: Architecture<QwenConfig> = {
  ...qwen2_5_vl,
  modelTypes: ['toy_vl', 'toy_vl_text'],
  coordinates: 'thousandths',
  readConfig: async (dir) => ({ ...(await readConfig(dir)), architecture: toy }),
  newerName: (name) => `toy.${name}`,
  rotary(tokens, _grids, { text }, padding, next) {
    const places = (first: number, length: number) =>
      textRotary(
        Int32Array.from({ length: 3 * length }, (_, i) => first + (i % length)),
        text,
      );
    return { prompt: places(-padding, tokens.length), next: places(tokens.length - padding, next) };
  },
};

async function toyFolder(modelType: unknown = 'toy_vl'): Promise<string> {
  const dir = await folder();
  await cp(tiny, dir, { recursive: true });
  const file = join(dir, 'config.json');
  const config = JSON.parse(await readFile(file, 'utf8')) as object;
  await writeFile(file, JSON.stringify({ ...config, model_type: modelType }));
  return dir;
}

async function opened<T>(
  dir: string,
  families: readonly Architecture[],
  use: (policy: VlmPolicy) => Promise<T>,
): Promise<T> {
  const policy = await openPolicy(
    dir,
    { workers: 1, threads: 1, batch: 1, prompt: { user: 'Where is {instruction}?' } },
    families,
  );
  try {
    return await use(policy);
  } finally {
    await policy.release();
  }
}

const written = (policy: VlmPolicy) =>
  policy.generate(
    asking([policy.encode({ instruction: 'the bird' }, picture(4))], { group: 2, temperature: 1, maxTokens: 8 }),
  );

describe('a family of policies', () => {
  it('is found by its model_type', async () => {
    expect((await readPolicyConfig(tiny)).architecture).toBe(qwen2_5_vl);
    expect((await readPolicyConfig(await toyFolder('toy_vl_text'), [...FAMILIES, toy])).architecture).toBe(toy);
    expect(await coordinatesOf(tiny)).toBe('pixels');
  });

  it.each([
    ['llava', '"llava"'],
    [null, 'null'],
    [7, '7'],
  ])('is refused where it is not known: %s', async (type, got) => {
    const dir = await toyFolder(type);
    const message = `${join(dir, 'config.json')}  model_type: expected one of qwen2_5_vl; got ${got}`;
    await expect(readPolicyConfig(dir)).rejects.toThrow(new ModelError(message));
    await expect(openPolicy(dir, { workers: 1, threads: 1, batch: 1 })).rejects.toThrow(message);
    expect(await policyFault({ checkpoint: dir })).toEqual({ option: 'checkpoint', text: message });
    await expect(readPolicyConfig(dir, [...FAMILIES, toy])).rejects.toThrow(
      'model_type: expected one of qwen2_5_vl, toy_vl, toy_vl_text; got',
    );
  });

  it('is refused before any weight where its chat template does not render', async () => {
    const dir = await folder();
    await cp(tiny, dir, { recursive: true });
    expect(await policyFault({ checkpoint: dir })).toBeUndefined();
    await rm(join(dir, 'chat_template.json'));
    const file = join(dir, 'chat_template.jinja');
    await writeFile(file, '{% for i in range(1000000000) %}x{% endfor %}');
    expect(await policyFault({ checkpoint: dir })).toEqual({
      option: 'checkpoint',
      text: `${file}  chat template: expected to render 1 messages; got a template that does not end, or writes without end`,
    });
  });

  it('writes and learns by its own layers, names and units, without a line of vlm', async () => {
    const dir = await toyFolder();
    const [own, other] = [
      await opened(dir, [toy], async (policy) => {
        const before = await written(policy);
        const rows = lessons(policy, 2).slice(0, 1);
        const { gradient, metrics } = await policy.gradient({ loss, rows, temperature: 1 });
        expect(metrics['loss']).toBeTypeOf('number');
        expect(await policy.step(gradient, settings)).toBeGreaterThan(0);
        expect(policy.version).toBe(1);
        const asked = { rows, temperature: 1 };
        expect(await policy.scores(asked)).not.toEqual(await policy.referenceScores(asked));
        expect(policy.coordinates).toBe('thousandths');
        const answer = '<think></think><bbox>[0,500,1000,250]</bbox><points>[[10,20]]</points><labels>[1]</labels>';
        expect(readPrompt(answer, { width: 100, height: 50 }, policy)?.objects).toEqual([
          { box: [0, 25, 100, 13], points: [{ x: 1, y: 1, label: 1 }] },
        ]);
        return before;
      }),
      await opened(tiny, FAMILIES, written),
    ];
    const [logProbs, others] = [own, other].map((groups) => groups.flat().flatMap((one) => one.logProbs));
    expect(logProbs.length).toBeGreaterThan(0);
    expect(logProbs).not.toEqual(others);
    const config = await toy.readConfig(dir);
    expect(sideName(config, 'model.layers.0.self_attn.q_proj.weight', 'A')).toBe(
      'base_model.model.toy.model.layers.0.self_attn.q_proj.lora_A.weight',
    );
  });
});
