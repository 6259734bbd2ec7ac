import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { UsageError } from '../../../src/errors.js';
import { openSafetensors, writeSafetensors } from '../../../src/io/safetensors.js';
import type { EncodedPrompt, TrainRow } from '../../../src/models/policy.js';
import { policyFault } from '../../../src/models/policies.js';
import { readConfig } from '../../../src/models/qwen2_5_vl/architecture.js';
import {
  adapterOf,
  adapterShapes,
  modulePath,
  policyWeights,
  sideName,
  type LoraOptions,
} from '../../../src/models/vlm/lora.js';
import { adaptedBy } from '../../../src/models/vlm/linear.js';
import type { VlmPolicy } from '../../../src/models/vlm/policy.js';
import { patchMaskHead } from '../../../src/models/vlm/supervised.js';
import { grpo } from '../../../src/objectives/policy-gradient.js';
import { hash, uniform } from '../../../src/random.js';
import { within } from '../../../src/models/vlm/weights.js';
import { asking, type Writing } from './lessons.js';
import { folder, open, tied, tiny, unversioned } from './opened.js';

const config = await readConfig(tiny);
const loss = { objective: grpo(0.04) };
const settings = { learningRate: 1e-2, maxNorm: 1 };
const small: LoraOptions = { rank: 2, alpha: 8, targets: ['q_proj', 'gate_proj'] };
const modules = (options: Omit<LoraOptions, 'rank' | 'alpha'>): string[] =>
  adapterOf(config, { rank: 2, alpha: 8, ...options }).matrices.map((name) => modulePath(config, name));

function asked(policy: VlmPolicy): EncodedPrompt[] {
  const data = Uint8Array.from({ length: 3 * 56 * 56 }, (_, i) => hash('pixel', i >> 6) & 255);
  return [policy.encode({ instruction: 'the bird' }, { width: 56, height: 56, data })];
}

function lesson(policy: VlmPolicy): TrainRow[] {
  const completions = [
    [5, 6, 7],
    [8, 9],
  ];
  const each = (value: (s: number, t: number) => number): number[][] =>
    completions.map((tokens, s) => tokens.map((_, t) => value(s, t)));
  return asked(policy).map((prompt) => ({
    prompt,
    completions,
    perToken: {
      oldLogProbs: each(() => -6),
      refLogProbs: each((s, t) => -6 - uniform('reference', s, t)),
      weight: each(() => 1 / 5),
      share: each(() => 1 / 5),
    },
    perSample: { advantages: [1, -1] },
  }));
}

const writing: Writing = { group: 3, temperature: 1, maxTokens: 10 };

/** Two steps on the lesson: after the first, A has a gradient too. */
async function taught(policy: VlmPolicy): Promise<void> {
  for (let i = 0; i < 2; i++)
    await policy.step((await policy.gradient({ loss, rows: lesson(policy), temperature: 1 })).gradient, settings);
}

async function change(dir: string, keys: object): Promise<void> {
  const file = join(dir, 'adapter_config.json');
  const described = JSON.parse(await readFile(file, 'utf8')) as object;
  await writeFile(file, JSON.stringify({ ...described, ...keys }));
}

describe('adapterOf', () => {
  it("takes modules of a name, the vision tower's among them, or leaves the tower out", () => {
    const both = modules({ targets: ['q_proj', 'gate_proj'] });
    expect(both).toHaveLength(2 * config.text.layers + config.vision.depth);
    expect(both).toEqual(
      expect.arrayContaining(['model.visual.blocks.0.mlp.gate_proj', 'model.language_model.layers.2.self_attn.q_proj']),
    );
    expect(modules({ targets: ['q_proj', 'gate_proj'], vision: false })).toEqual(
      both.filter((path) => !path.includes('visual')),
    );
  });

  it.each([
    [
      'a whole path',
      { targets: ['model.language_model.layers.1.mlp.up_proj'] },
      ['model.language_model.layers.1.mlp.up_proj'],
    ],
    [
      'an end of one',
      { targets: ['layers.1.mlp.up_proj', 'lm_head'] },
      ['model.language_model.layers.1.mlp.up_proj', 'lm_head'],
    ],
    [
      'a pattern of whole paths',
      { pattern: String.raw`model\.visual\.merger\.mlp\.[02]` },
      ['model.visual.merger.mlp.0', 'model.visual.merger.mlp.2'],
    ],
  ])('takes %s', (_, options, expected) => expect(modules(options)).toEqual(expected));

  it.each([
    [
      'nothing',
      { targets: ['proj_q', 'roj'] },
      'expected some linear layer; got none for ["proj_q","roj"]; modules are called model.language_model.layers.0.self_attn.q_proj and the like',
    ],
    ['half a path', { pattern: 'model' }, 'expected some linear layer; got none for "model"; modules'],
    [
      'a convolution',
      { targets: ['proj'] },
      'expected linear layers with weights of their own; got model.visual.patch_embed.proj among them',
    ],
    ['a norm', { targets: ['q_proj', 'norm1'] }, 'got model.visual.blocks.0.norm1 among them'],
    ['a table', { targets: ['embed_tokens'] }, 'got model.language_model.embed_tokens among them'],
  ])('refuses %s', (_, options, message) => expect(() => modules(options)).toThrow(message));

  it('refuses a head that is the embedding table', async () => {
    const other = await readConfig(tied);
    expect(() => adapterOf(other, { rank: 2, alpha: 8, targets: ['lm_head'] })).toThrow('got lm_head among them');
  });

  it('takes all linear layers but the head', () => {
    const all = modules({ pattern: 'All-Linear' });
    expect(all).not.toContain('lm_head');
    expect(all).toHaveLength(7 * config.text.layers + 5 * config.vision.depth + 2);
  });

  it('has no rank above all sides of its matrices', () => {
    expect(() => adapterOf(config, { ...small, rank: 1_000_000 })).toThrow(
      'expected at most 112, the longest side of the matrices; got 1000000',
    );
  });

  // PEFT 0.21, get_pattern_key: re.match(rf"(.*\.)?({key})$", path), the first key that does.
  it('has ranks and alphas of single modules', () => {
    const adapter = adapterOf(config, {
      ...small,
      ranks: { [String.raw`layers\.1\.self_attn\.q_proj`]: 4, roj: 9, '^model.language.*0.*q_proj': 3 },
      alphas: { q_proj: 12 },
    });
    const of = (layer: number) => adaptedBy(adapter, `model.layers.${layer}.self_attn.q_proj.weight`);
    expect([of(0), of(1), of(2)]).toEqual([
      { rank: 3, scale: 4 },
      { rank: 4, scale: 3 },
      { rank: 2, scale: 6 },
    ]);
    expect(adaptedBy(adapter, 'visual.blocks.0.mlp.gate_proj.weight')).toMatchObject({ rank: 2, scale: 4 });
    const sizes = adapterShapes(config, adapter).find(({ name }) => name.includes('layers.1.self_attn'))?.sizes;
    expect(Object.values(sizes ?? {})).toEqual([4, 64]);
  });

  it('scales by alpha over the rank, or over its root', () => {
    expect(adapterOf(config, { ...small, rank: 4 }).scale).toBe(2);
    expect(adapterOf(config, { ...small, rank: 4, rsLora: true }).scale).toBe(4);
  });
});

describe('policyFault', () => {
  it.each([
    [{ ...small, rank: 1_000_000 }, 'rank', 'expected at most 112'],
    [{ ...small, alpha: 1e300 }, 'alpha', 'expected a factor of B · A that float32 holds; got 5e+299'],
    [{ ...small, targets: ['none'] }, 'targets', 'expected some linear layer'],
    [{ rank: 2, alpha: 8, pattern: '(([a-z]|[a-z_.0-9])+)+!' }, 'pattern', 'expected a regular expression'],
  ])('names the option of a new adapter that cannot be: %j', async (lora, option, text) => {
    const fault = await policyFault({ checkpoint: tiny, train: { lora } });
    expect(fault?.option).toBe(`train.lora.${option}`);
    expect(fault?.text).toContain(text);
  });
});

describe('adapterShapes', () => {
  const adapter = adapterOf(config, { rank: 2, alpha: 8, targets: ['k_proj'] });

  it("has both sides of each matrix under PEFT's names", () => {
    expect(
      adapterShapes(config, adapter)
        .slice(0, 2)
        .map(({ name, sizes }) => [name, Object.values(sizes)]),
    ).toEqual([
      ['base_model.model.model.language_model.layers.0.self_attn.k_proj.lora_A.weight', [2, config.text.hidden]],
      [
        'base_model.model.model.language_model.layers.0.self_attn.k_proj.lora_B.weight',
        [config.text.kvHeads * config.text.headDim, 2],
      ],
    ]);
  });

  it('begins with A spread evenly by its width, another for each seed and matrix, and B at 0', () => {
    const first = (seed: number, at: number): number[] =>
      Array.from({ length: 2 * config.text.hidden }, (_, i) => adapterShapes(config, adapter, seed)[at].first(i));
    const bound = 1 / Math.sqrt(config.text.hidden);
    const a = first(1, 0);
    expect([Math.min(...a) / -bound, Math.max(...a) / bound].map((share) => share > 0.9 && share <= 1)).toEqual([
      true,
      true,
    ]);
    expect(first(1, 0)).toEqual(a);
    expect(first(2, 0)).not.toEqual(a);
    expect(first(1, 2)).not.toEqual(a);
    expect(new Set(first(1, 1))).toEqual(new Set([0]));
  });
});

describe('policyWeights', () => {
  it('has both sides beside a layer that is adapted, each traced once, and tells what learns', () => {
    const { weights, trained } = policyWeights(config, adapterOf(config, small), [{ name: 'extra', sizes: { n: 1 } }]);
    const name = 'model.layers.0.self_attn.q_proj.weight';
    const [layer, other] = ['q_proj', 'k_proj'].map((module) =>
      within(weights, 'model.layers.0.self_attn').linear(module),
    );
    expect(layer).toEqual({
      weight: weights(name),
      bias: weights(name.replace('weight', 'bias')),
      adapter: { down: weights(sideName(config, name, 'A')), up: weights(sideName(config, name, 'B')), scale: 4 },
    });
    expect([layer.weight.node.op, Object.keys(other), weights('extra').shape.length]).toEqual([
      { kind: 'input', name },
      ['weight', 'bias'],
      1,
    ]);
    expect(
      trained()
        .map((one) => one.name)
        .toSorted(),
    ).toEqual([sideName(config, name, 'A'), sideName(config, name, 'B'), 'extra']);
  });
});

describe('a policy with an adapter', () => {
  it('begins as the checkpoint, bit for bit, in rollouts and in scores', async () => {
    const [base, adapted] = [await open(), await open({ train: { lora: small } })];
    expect(await adapted.generate(asking(asked(adapted), writing))).toEqual(
      await base.generate(asking(asked(base), writing)),
    );
    expect(await adapted.referenceScores({ rows: lesson(adapted), temperature: 1 })).toEqual(
      await base.referenceScores({ rows: lesson(base), temperature: 1 }),
    );
    expect((await adapted.gradient({ loss, rows: lesson(adapted), temperature: 1 })).metrics).toEqual(
      (await base.gradient({ loss, rows: lesson(base), temperature: 1 })).metrics,
    );
  });

  it('teaches the adapter alone, and refers to the checkpoint without it', async () => {
    const policy = await open({ train: { lora: small } });
    const before = await policy.referenceScores({ rows: lesson(policy), temperature: 1 });
    expect(await policy.scores({ rows: lesson(policy), temperature: 1 })).toEqual(before);
    const first = await policy.gradient({ loss, rows: lesson(policy), temperature: 1 });
    expect(first.gradient).toHaveLength(policy.parameters);
    expect(policy.parameters).toBe(
      adapterShapes(config, adapterOf(config, small)).reduce(
        (sum, { sizes }) => sum + Object.values(sizes).reduce((product, n) => product * n),
        0,
      ),
    );
    await taught(policy);
    expect((await policy.gradient({ loss, rows: lesson(policy), temperature: 1 })).metrics['loss']).toBeLessThan(
      first.metrics['loss'],
    );
    expect(await policy.referenceScores({ rows: lesson(policy), temperature: 1 })).toEqual(before);
    expect(await policy.scores({ rows: lesson(policy), temperature: 1 })).not.toEqual(before);
  });

  it('writes by its adapter: the log-probs of a rollout are those of the training graph', async () => {
    const policy = await open({
      train: { lora: { ...small, targets: ['q_proj', 'v_proj', 'gate_proj', 'down_proj', 'lm_head'] } },
    });
    await taught(policy);
    const [group] = await policy.generate(asking(asked(policy), writing));
    const each = (value: number): number[][] => group.map(({ tokens }) => tokens.map(() => value));
    const all = group.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const row = {
      prompt: asked(policy)[0],
      completions: group.map(({ tokens }) => tokens),
      perToken: {
        oldLogProbs: group.map(({ logProbs }) => logProbs),
        refLogProbs: each(0),
        weight: each(1),
        share: each(1 / all),
      },
      perSample: { advantages: [1, 1, 1] },
    };
    expect(
      (await policy.gradient({ loss: { objective: grpo(0) }, rows: [row], temperature: 1 })).metrics['drift'],
    ).toBeCloseTo(0, 5);
    const base = await open();
    expect(unversioned(await base.generate(asking(asked(base), writing)))).not.toEqual(unversioned([group]));
  });

  it('teaches a head that exists in training only beside it, and does not save it', async () => {
    const [plain, policy] = [
      await open({ train: { lora: small } }),
      await open({ train: { lora: small }, extra: patchMaskHead }),
    ];
    const head = patchMaskHead(config).reduce(
      (sum, { sizes }) => sum + Object.values(sizes).reduce((product, n) => product * n),
      0,
    );
    expect(policy.parameters).toBe(plain.parameters + head);
    const dir = join(await folder(), 'saved');
    await policy.save(dir);
    expect(
      (await openSafetensors(join(dir, 'adapter_model.safetensors'))).names.every((name) =>
        name.startsWith('base_model.model.'),
      ),
    ).toBe(true);
  });
});

describe('an adapter folder', () => {
  it.each([
    ['targets', tiny, small],
    ['no vision', tied, { ...small, rsLora: true, vision: false }],
    ['a pattern', tiny, { rank: 3, alpha: 3, pattern: String.raw`.*\.mlp\.(0|up_proj)` }],
  ])('gives back what was saved: %s', async (_, from, options) => {
    const policy = await open({ train: { lora: options }, seed: 5 }, from);
    await taught(policy);
    const dir = await folder();
    await policy.save(join(dir, 'saved'));
    await policy.save(join(dir, 'saved'));
    expect(await readdir(dir)).toEqual(['saved']);
    const again = await open({ adapter: join(dir, 'saved') }, from);
    expect(again.parameters).toBe(policy.parameters);
    const [a, b] = [
      await policy.gradient({ loss, rows: lesson(policy), temperature: 1 }),
      await again.gradient({ loss, rows: lesson(again), temperature: 1 }),
    ];
    expect(Buffer.compare(Buffer.from(a.gradient.buffer), Buffer.from(b.gradient.buffer))).toBe(0);
    expect(unversioned(await again.generate(asking(asked(again), writing)))).toEqual(
      unversioned(await policy.generate(asking(asked(policy), writing))),
    );
    await again.save(join(dir, 'again'));
    for (const file of await readdir(join(dir, 'saved')))
      expect(await readFile(join(dir, 'again', file))).toEqual(await readFile(join(dir, 'saved', file)));
  });

  it('is what PEFT reads, with the tokenizer and the processor beside', async () => {
    const policy = await open({ train: { lora: { ...small, vision: false } } });
    const dir = join(await folder(), 'saved');
    await policy.save(dir);
    const described = JSON.parse(await readFile(join(dir, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
    expect(described).toMatchObject({
      peft_type: 'LORA',
      base_model_name_or_path: tiny,
      r: 2,
      lora_alpha: 8,
      use_rslora: false,
      target_modules: small.targets,
      exclude_modules: String.raw`model\.visual\..*`,
      bias: 'none',
    });
    const files = await readdir(dir);
    expect(files).toEqual(
      expect.arrayContaining([
        'adapter_config.json',
        'adapter_model.safetensors',
        'tokenizer.json',
        'tokenizer_config.json',
      ]),
    );
    expect(files.some((file) => file.startsWith('preprocessor') || file.startsWith('processor'))).toBe(true);
    expect(files).not.toContain('config.json');
    const saved = await openSafetensors(join(dir, 'adapter_model.safetensors'));
    expect(saved.metadata).toEqual({ format: 'pt' });
    expect(saved.info('base_model.model.model.language_model.layers.0.mlp.gate_proj.lora_A.weight')).toMatchObject({
      dtype: 'F32',
      shape: [2, config.text.hidden],
    });
  });

  // PEFT 0.21, LoraConfig and the LoRA layer that reads it; what it writes by default changes nothing.
  it('opens with every key that PEFT writes, and with nulls', async () => {
    const policy = await open({ train: { lora: small } });
    const dir = join(await folder(), 'saved');
    await policy.save(dir);
    const file = join(dir, 'adapter_config.json');
    const described = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    const written = {
      ...described,
      alora_invocation_tokens: null,
      alpha_pattern: {},
      arrow_config: null,
      auto_mapping: { base_model_class: 'Qwen2_5_VLForConditionalGeneration', unsloth_fixed: true },
      corda_config: null,
      ensure_weight_tying: false,
      eva_config: null,
      exclude_modules: null,
      kasa_config: null,
      layer_replication: null,
      layers_pattern: null,
      layers_to_transform: null,
      loftq_config: {},
      lora_bias: false,
      lora_dropout: 0.05,
      lora_ga_config: null,
      megatron_config: null,
      megatron_core: 'megatron.core',
      modules_to_save: [],
      monteclora_config: null,
      peft_version: '0.21.2',
      qalora_group_size: 16,
      rank_pattern: {},
      revision: null,
      target_parameters: null,
      trainable_token_indices: null,
      use_bdlora: null,
      use_dora: false,
      use_qalora: false,
      velora_config: null,
      some_key_of_tomorrow: null,
    };
    const opens = async (change: object): Promise<number> => {
      await writeFile(file, JSON.stringify({ ...written, ...change }));
      return (await open({ adapter: dir })).parameters;
    };
    expect(await opens({})).toBe(policy.parameters);
    // For a linear layer PEFT takes fan_in_fan_out back.
    for (const change of [{ init_lora_weights: 'gaussian' }, { init_lora_weights: false }, { fan_in_fan_out: true }])
      expect(await opens(change)).toBe(policy.parameters);
  });

  it.each([
    ['init_lora_weights', 'pissa'],
    ['init_lora_weights', 'pissa_niter_16'],
    ['init_lora_weights', 'olora'],
    ['init_lora_weights', 'corda'],
    ['init_lora_weights', 'loftq'],
    ['init_lora_weights', 'lora_ga'],
    ['init_lora_weights', 'newest'],
    ['bias', 'all'],
    ['bias', 'lora_only'],
    ['use_dora', true],
    ['use_qalora', true],
    ['lora_bias', true],
    ['alora_invocation_tokens', [1, 2]],
    ['use_bdlora', { nblocks: 2 }],
    ['kasa_config', { beta: 0.1 }],
    ['velora_config', { num_groups: 64 }],
    ['monteclora_config', { num_samples: 8 }],
    ['arrow_config', { top_k: 3 }],
    ['megatron_config', { hidden_size: 64 }],
    ['layer_replication', [[0, 2]]],
    ['target_parameters', ['experts.up']],
    ['trainable_token_indices', [5]],
    ['trainable_token_indices', { embed_tokens: [5] }],
    ['modules_to_save', ['embed_tokens']],
    ['layers_pattern', ['layers']],
    ['some_key_of_tomorrow', 3],
    ['r', 1_000_000],
    ['lora_alpha', 1e300],
  ])('is refused by the name of %s: %j', async (key, value) => {
    const dir = await folder();
    const described = { peft_type: 'LORA', r: 2, lora_alpha: 8, target_modules: ['q_proj'], [key]: value };
    await writeFile(join(dir, 'adapter_config.json'), JSON.stringify(described));
    await expect(open({ adapter: dir })).rejects.toThrow(`adapter_config.json  ${key}: expected `);
  });

  // PEFT 0.21, check_target_module_exists: Python's re.fullmatch on the path for a text, the path's end for names.
  it.each([
    ['.*visual.*', undefined],
    [String.raw`^model\.visual\..*$`, undefined],
    [['visual', 'gate_proj'], ['q_proj']],
  ])('leaves out what exclude_modules means: %j', async (excluded, targets) => {
    const options = { ...small, targets: targets ?? small.targets, vision: false };
    const policy = await open({ train: { lora: options } });
    const dir = join(await folder(), 'saved');
    await policy.save(dir);
    await change(dir, { target_modules: small.targets, exclude_modules: excluded });
    expect((await open({ adapter: dir })).parameters).toBe(policy.parameters);
  });

  it('takes layers_to_transform by number', async () => {
    const policy = await open({ train: { lora: { ...small, targets: ['layers.1.self_attn.q_proj'] } } });
    const dir = join(await folder(), 'saved');
    await policy.save(dir);
    await change(dir, { target_modules: ['q_proj'], layers_to_transform: 1, layers_pattern: 'layers' });
    expect((await open({ adapter: dir })).parameters).toBe(policy.parameters);
    await change(dir, { layers_to_transform: [1], layers_pattern: null });
    expect((await open({ adapter: dir })).parameters).toBe(policy.parameters);
    await change(dir, { target_modules: '.*q_proj' });
    await expect(open({ adapter: dir })).rejects.toThrow('layers_to_transform: expected none where target_modules');
  });

  it('has the names of before transformers 4.52 too, in its tensors and its expressions', async () => {
    const policy = await open({ train: { lora: small }, seed: 3 });
    await taught(policy);
    const dir = join(await folder(), 'saved');
    await policy.save(dir);
    const before = join(dir, 'adapter_model.safetensors');
    const tensors = await openSafetensors(before);
    await writeSafetensors(
      before,
      await Promise.all(
        tensors.names.map(async (name) => ({
          name: name.replace('model.language_model.', 'model.').replace('model.model.visual', 'model.visual'),
          dtype: 'F32' as const,
          shape: tensors.info(name).shape,
          data: await tensors.read(name),
        })),
      ),
    );
    await change(dir, {
      target_modules: String.raw`(model\.layers|visual\.blocks)\..*(q_proj|gate_proj)`,
      exclude_modules: String.raw`model\.language_model.*`,
    });
    const again = await open({ adapter: dir });
    expect(await again.scores({ rows: lesson(again), temperature: 1 })).toEqual(
      await policy.scores({ rows: lesson(policy), temperature: 1 }),
    );
    await again.save(join(dir, 'newer'));
    expect((await open({ adapter: join(dir, 'newer') })).parameters).toBe(policy.parameters);
  });

  it.each([Infinity, NaN])('that holds %d is refused', async (value) => {
    const policy = await open({ train: { lora: small } });
    const dir = join(await folder(), 'saved');
    await policy.save(dir);
    const file = join(dir, 'adapter_model.safetensors');
    const bytes = await readFile(file);
    bytes.writeFloatLE(value, bytes.length - 8);
    await writeFile(file, bytes);
    await expect(open({ adapter: dir })).rejects.toThrow(`expected finite numbers; got ${value} at `);
  });

  it.each([
    ['another kind', { peft_type: 'IA3' }, 'adapter_config.json  peft_type: expected "LORA"; got "IA3"'],
    [
      'a magnitude of its own',
      { use_dora: true },
      'adapter_config.json  use_dora: expected false, which is all that is read; got true',
    ],
    [
      'ranks that the file has not',
      { rank_pattern: { q_proj: 9 } },
      'layers.0.self_attn.q_proj.lora_A.weight: expected shape [9, 64]; got [2, 64]',
    ],
    [
      'whole modules',
      { modules_to_save: ['lm_head'] },
      'adapter_config.json  modules_to_save: expected none, which is all that is read; got ["lm_head"]',
    ],
    ['another rank', { r: 3 }, 'expected shape [3, '],
    ['fewer modules', { target_modules: ['q_proj'] }, 'of what target_modules hits; got another tensor'],
    ['more modules', { target_modules: ['q_proj', 'gate_proj', 'lm_head'] }, 'expected it among'],
    [
      'none',
      { target_modules: ['c_attn'] },
      'adapter_config.json  target_modules: expected some linear layer; got none for ["c_attn"]',
    ],
  ])('of %s is refused', async (_, change, message) => {
    const policy = await open({ train: { lora: small } });
    const [saved, dir] = [join(await folder(), 'saved'), await folder()];
    await policy.save(saved);
    await cp(saved, dir, { recursive: true });
    const described = JSON.parse(await readFile(join(dir, 'adapter_config.json'), 'utf8')) as object;
    await writeFile(join(dir, 'adapter_config.json'), JSON.stringify({ ...described, ...change }));
    await expect(open({ adapter: dir })).rejects.toThrow(message);
  });

  it('must be named where it is to learn, and learns where it is named', async () => {
    await expect(open({ train: 'adapter' })).rejects.toThrow(
      new UsageError(
        `${tiny}  train: expected adapter, the folder of the one that is meant, beside it; got "adapter" without`,
      ),
    );
    await expect(open({ train: 'full', adapter: tiny })).rejects.toThrow(
      new UsageError(
        `${tiny}  train: expected "adapter" where an adapter is opened, for that is what learns; got "full"`,
      ),
    );
    await expect(open({ train: { lora: { ...small, targets: ['none'] } } })).rejects.toThrow(
      `${tiny}  lora.targets: expected some linear layer; got none for ["none"]`,
    );
  });
});
