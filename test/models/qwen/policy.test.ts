import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { ModelError } from '../../../src/errors.js';
import { folderTensors, openSafetensors, writeSafetensors, type StoredTensor } from '../../../src/io/safetensors.js';
import type { EncodedPrompt, Gradient, TrainRow, WriteOptions } from '../../../src/models/policy.js';
import { chunks } from '../../../src/models/qwen/batch.js';
import type { QwenPolicy } from '../../../src/models/qwen/policy.js';
import { patchMaskHead, supervisedGraph } from '../../../src/models/qwen/supervised.js';
import { objectiveGraph } from '../../../src/models/qwen/train.js';
import { grpo } from '../../../src/objectives/policy-gradient.js';
import { hash, uniform } from '../../../src/random.js';
import type { Image } from '../../../src/records.js';
import { folder, open, tied, tiny, unversioned } from './opened.js';

const graph = objectiveGraph(grpo(0.04));
const settings = { learningRate: 1e-3, maxNorm: 1 };

function picture(seed: number, side = 56): Image {
  return { width: side, height: side, data: Uint8Array.from({ length: 3 * side * side }, (_, i) => hash(seed, i >> 6) & 255) };
}

/** Prompts of unequal lengths, the first and last of one grid, one without an image. */
function prompts(policy: QwenPolicy): EncodedPrompt[] {
  return [
    policy.encode({ instruction: 'it' }, picture(1)),
    policy.encode({ instruction: 'the large bird on the left of the other one' }, picture(2)),
    policy.encode({ instruction: 'nothing' }),
    policy.encode({ instruction: 'a wide thing' }, { width: 112, height: 56, data: picture(3, 112).data.slice(0, 3 * 112 * 56) }),
    policy.encode({ instruction: 'the bird' }, picture(4)),
  ];
}

/** Groups of `samples` completions of unequal lengths, with numbers that make every term of the loss count. */
function lessons(policy: QwenPolicy, samples: number, asked = prompts(policy)): TrainRow[] {
  const lengths = asked.map((_, p) => Array.from({ length: samples }, (__, s) => 1 + (hash('length', p, s) % 9)));
  const tokens = lengths.flat().reduce((sum, n) => sum + n, 0);
  return asked.map((prompt, p) => {
    const each = (value: (s: number, t: number) => number): number[][] => lengths[p].map((n, s) => Array.from({ length: n }, (_, t) => value(s, t)));
    return {
      prompt,
      completions: each((s, t) => hash('token', p, s, t) % 500),
      perToken: {
        oldLogProbs: each((s, t) => -6 - uniform('old', p, s, t)),
        refLogProbs: each((s, t) => -6 - uniform('reference', p, s, t)),
        weight: each((s) => 1 / (lengths[p][s] * samples * asked.length)),
        share: each(() => 1 / tokens),
      },
      perSample: { advantages: lengths[p].map((_, s) => uniform('advantage', p, s) - 0.5) },
    };
  });
}

/** Every completion behind a prompt of its own. */
function apart(rows: readonly TrainRow[]): TrainRow[] {
  return rows.flatMap(({ prompt, completions, perToken, perSample }) =>
    completions.map((tokens, s) => ({
      prompt,
      completions: [tokens],
      perToken: Object.fromEntries(Object.entries(perToken).map(([name, values]) => [name, [values[s]]])),
      perSample: Object.fromEntries(Object.entries(perSample ?? {}).map(([name, values]) => [name, [values[s]]])),
    })),
  );
}

/** Largest difference, as a share of the largest value. */
function apartBy(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let [most, largest] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    most = Math.max(most, Math.abs(a[i] - b[i]));
    largest = Math.max(largest, Math.abs(b[i]));
  }
  return most / largest;
}

function same(a: Gradient, b: Gradient): void {
  expect(apartBy(a.gradient, b.gradient)).toBeLessThan(1e-5);
  for (const [name, value] of Object.entries(b.metrics)) expect(a.metrics[name], name).toBeCloseTo(value, 5);
}

const writing: WriteOptions = { group: 3, temperature: 1, maxTokens: 12, uniform: (p, s, t) => uniform('draw', p, s, t) };

describe('gradient', () => {
  it('of completions behind a shared prefix is the sum of them apart', async () => {
    const policy = await open();
    const rows = lessons(policy, 3);
    const together = await policy.gradient(graph, rows, 0.9);
    same(together, await policy.gradient(graph, apart(rows), 0.9));
    expect(Object.keys(together.metrics).toSorted()).toEqual(['apart', 'apartMax', 'clip', 'clipHigh', 'clipHighMax', 'clipLow', 'clipLowMin', 'drift', 'entropy', 'kl', 'loss', 'ratio']);
    expect(together.gradient).toHaveLength(policy.parameters);
  });

  it('is the same whatever the batch, the order of rows and the number of completions beside', async () => {
    const [one, several] = [await open(), await open({ batch: 3 })];
    const rows = lessons(one, 2);
    const alone = await one.gradient(graph, rows, 1);
    same(await several.gradient(graph, rows, 1), alone);
    same(await several.gradient(graph, rows.toReversed(), 1), alone);
    same(await several.gradient(graph, [rows[0], ...apart(rows.slice(1, 2)), ...rows.slice(2)], 1), alone);
  });

  it('has the same bits from one thread and from two', async () => {
    const [one, two] = [await open(), await open({ workers: 2 })];
    const rows = lessons(one, 2);
    const [a, b] = [await one.gradient(graph, rows, 1), await two.gradient(graph, rows, 1)];
    expect(Buffer.compare(Buffer.from(a.gradient.buffer), Buffer.from(b.gradient.buffer))).toBe(0);
    expect(a.metrics).toEqual(b.metrics);
  });

  it('is the sum of its runs in their order, bit by bit, whichever is done first', async () => {
    const policy = await open({ workers: 2 });
    const rows = lessons(policy, 2);
    const indices = chunks(rows.map(({ prompt }) => prompt), 1).flat();
    const parts: Gradient[] = [];
    for (const i of indices) parts.push(await policy.gradient(graph, [rows[i]], 1));
    const sum = parts[0].gradient.slice();
    for (const part of parts.slice(1)) part.gradient.forEach((g, i) => (sum[i] += g));
    const { gradient, metrics } = await policy.gradient(graph, rows, 1);
    expect(Buffer.compare(Buffer.from(gradient.buffer), Buffer.from(sum.buffer))).toBe(0);
    expect(metrics['loss']).toBe(parts.reduce((total, part) => total + part.metrics['loss'], 0));
  });

  it('is finite where padding is all but impossible', async () => {
    const policy = await open({ suppressed: [656] });
    const { gradient, metrics } = await policy.gradient(graph, lessons(policy, 2), 1);
    expect(Math.hypot(...gradient.subarray(0, 1000))).toBeGreaterThan(0);
    expect(gradient.every(Number.isFinite)).toBe(true);
    expect(Object.values(metrics).every(Number.isFinite)).toBe(true);
  });

  it('of no rows is nothing', async () => {
    const policy = await open();
    const { gradient, metrics } = await policy.gradient(graph, [], 1);
    expect([gradient.every((g) => g === 0), metrics]).toEqual([true, {}]);
  });
});

describe('encode', () => {
  it('gives every image its placeholders, in order, before the words', async () => {
    const policy = await open();
    const { image, visionStart } = policy.config.tokens;
    const { text, tokens, images } = policy.encode({ instruction: 'it' }, picture(1), picture(3, 112), picture(2));
    expect(text.match(/<\|image_pad\|>/g)).toHaveLength(3);
    expect(images.map(({ grid }) => grid)).toEqual([{ h: 4, w: 4 }, { h: 8, w: 8 }, { h: 4, w: 4 }]);
    const runs = tokens.flatMap((id, i) => (id === visionStart ? [tokens.slice(i + 1).findIndex((other) => other !== image)] : []));
    expect(runs).toEqual([4, 16, 4]);
    expect(policy.encode({ instruction: 'it' })).toMatchObject({ images: [], text: expect.not.stringContaining('image_pad') });
  });

  it('refuses words that stand for an image of their own', async () => {
    const policy = await open();
    expect(() => policy.encode({ instruction: 'it <|image_pad|>' }, picture(1))).toThrow(new ModelError('prompt  image placeholders: expected one for each of 1 images; got 2'));
  });
});

describe('write', () => {
  it('gives the same completions for any batch and any number of threads', async () => {
    const policies = [await open(), await open({ batch: 2 }), await open({ batch: 4, workers: 2 })];
    const [alone, ...others] = await Promise.all(policies.map((policy) => policy.write(prompts(policy), writing)));
    for (const other of others) {
      expect(other.map((group) => group.map(({ tokens, finish }) => ({ tokens, finish })))).toEqual(alone.map((group) => group.map(({ tokens, finish }) => ({ tokens, finish }))));
      for (const [p, group] of other.entries()) for (const [s, { logProbs }] of group.entries()) expect(apartBy(logProbs, alone[p][s].logProbs)).toBeLessThan(1e-5);
    }
    expect(new Set(alone.flatMap((group) => group.map(({ tokens }) => tokens.join()))).size).toBe(15);
  });

  it('ends a completion at its first end, cuts it at the limit, and tells which', async () => {
    const policy = await open({ batch: 2 });
    const { eos } = policy.config.tokens;
    const groups = await policy.write(prompts(policy), { ...writing, group: 8, maxTokens: 60, temperature: 1.5 });
    for (const { tokens, logProbs, finish } of groups.flat()) {
      expect(logProbs).toHaveLength(tokens.length);
      expect(tokens.slice(0, -1).some((token) => eos.includes(token))).toBe(false);
      expect(finish).toBe(eos.includes(tokens.at(-1) as number) ? 'stop' : 'length');
      if (finish === 'length') expect(tokens).toHaveLength(60);
    }
    expect(new Set(groups.flat().map(({ finish }) => finish))).toEqual(new Set(['stop', 'length']));
  });

  it('writes the likeliest tokens at temperature 0, whatever the draws', async () => {
    const policy = await open();
    const [asked] = prompts(policy);
    const [first] = await policy.write([asked], { ...writing, temperature: 0 });
    const [second] = await policy.write([asked], { ...writing, temperature: 0, uniform: () => 0.99 });
    expect(second).toEqual(first);
    expect(first[1]).toEqual(first[0]);
  });

  it('never writes what means vision, and nothing of what it is told not to write', async () => {
    const policy = await open();
    const { image, video, visionStart, visionEnd } = policy.config.tokens;
    const all = { ...writing, group: 16, temperature: 3, maxTokens: 40 };
    const usual = (await policy.write(prompts(policy).slice(0, 1), all)).flat().flatMap(({ tokens }) => tokens);
    expect(usual.filter((token) => [image, video, visionStart, visionEnd].includes(token))).toEqual([]);
    const none = await open({ suppressed: Array.from({ length: 704 }, (_, id) => id).filter((id) => id !== 7) });
    expect((await none.write(prompts(none).slice(0, 1), all)).flat().flatMap(({ tokens }) => tokens).every((token) => token === 7)).toBe(true);
  });

  it('tells which version of the weights wrote, also of what waited while a step was taken', async () => {
    const policy = await open();
    const asked = prompts(policy).slice(0, 1);
    const before = unversioned(await policy.write(asked, writing));
    const { gradient } = await policy.gradient(graph, lessons(policy, 2).slice(0, 1), 1);
    const running = Array.from({ length: 4 }, () => policy.write(asked, writing));
    await setImmediate();
    await policy.step(gradient, { ...settings, learningRate: 0.1 });
    const after = unversioned(await policy.write(asked, writing));
    expect(after).not.toEqual(before);
    const versions = (await Promise.all(running)).map((groups) => {
      const [{ version }] = groups[0];
      expect(unversioned(groups)).toEqual(version === 0 ? before : after);
      return version;
    });
    expect(versions.at(-1)).toBe(1);
  });

  it('tells the log-probs that scoring the same completions gives', async () => {
    const policy = await open({ batch: 2 });
    const asked = prompts(policy);
    const groups = await policy.write(asked, { ...writing, temperature: 0.8 });
    const rows = asked.map((prompt, p): TrainRow => ({ prompt, completions: groups[p].map(({ tokens }) => tokens), perToken: {} }));
    const scores = await policy.reference(rows, 0.8);
    for (const [p, group] of groups.entries()) for (const [s, { logProbs }] of group.entries()) expect(apartBy(scores[p][s], logProbs)).toBeLessThan(1e-5);
  });
});

describe('step', () => {
  it('moves the weights and leaves the reference where it was', async () => {
    const policy = await open();
    const rows = lessons(policy, 2).slice(0, 2);
    const before = await policy.reference(rows, 1);
    expect(await policy.scores(rows, 1)).toEqual(before);
    const first = await policy.gradient(graph, rows, 1);
    expect([policy.version, await policy.step(first.gradient, settings), policy.version]).toEqual([0, expect.any(Number), 1]);
    await policy.step((await policy.gradient(graph, rows, 1)).gradient, settings);
    expect(await policy.reference(rows, 1)).toEqual(before);
    expect(await policy.scores(rows, 1)).not.toEqual(before);
    const after = await policy.gradient(graph, rows, 1);
    expect(after.metrics['loss']).toBeLessThan(first.metrics['loss']);
  });

  it.each([['float32 files', tiny], ['files of bfloat16', tied]])('mixes a share of the weights into the reference, of %s, and goes on from there', async (_, from) => {
    const policy = await open({ extra: patchMaskHead }, from);
    const rows = lessons(policy, 1).slice(0, 1);
    const start = await policy.reference(rows, 1);
    await policy.step((await policy.gradient(graph, rows, 1)).gradient, settings);
    await policy.mixReference(0.5);
    const half = await policy.reference(rows, 1);
    const now = await policy.scores(rows, 1);
    const between = half[0][0].filter((p, t) => (p - start[0][0][t]) * (now[0][0][t] - p) > 0);
    expect(between.length).toBeGreaterThan(0);
    expect([half, now]).not.toContainEqual(start);
    await policy.step((await policy.gradient(graph, rows, 1)).gradient, settings);
    expect(await policy.reference(rows, 1)).toEqual(half);
    await policy.mixReference(1);
    expect(await policy.reference(rows, 1)).toEqual(await policy.scores(rows, 1));
  });

  it('has nothing to mix below an adapter', async () => {
    const policy = await open({ train: { lora: { rank: 2, alpha: 4, targets: ['q_proj'] } } });
    await expect(policy.mixReference(1)).rejects.toThrow(new ModelError(`${tiny}  reference: expected weights of its own, as where all of the policy's learn; got the checkpoint below adapter, which is only read`));
  });

  it('refers to the opening weights even when it is first asked after a step', async () => {
    const [early, late] = [await open(), await open()];
    const rows = lessons(early, 1).slice(0, 1);
    const { gradient } = await late.gradient(graph, rows, 1);
    await late.step(gradient, settings);
    expect(await late.reference(rows, 1)).toEqual(await early.reference(rows, 1));
  });

  it('refuses a gradient that is not finite, and stays as it was', async () => {
    const policy = await open();
    const gradient = new Float32Array(policy.parameters);
    gradient[5] = NaN;
    const [before] = await policy.write(prompts(policy).slice(0, 1), writing);
    await expect(policy.step(gradient, settings)).rejects.toThrow(`${tiny}  step 1: expected a finite gradient; got a norm of NaN`);
    expect(policy.version).toBe(0);
    expect((await policy.write(prompts(policy).slice(0, 1), writing))[0]).toEqual(before);
  });

  it('teaches a supervised answer, with a head that is no part of the checkpoint', async () => {
    const policy = await open({ extra: patchMaskHead });
    const [prompt] = prompts(policy);
    const answer = policy.answer('<bbox>[1,2,30,40]</bbox>');
    const row: TrainRow = {
      prompt,
      completions: [answer],
      perToken: { weight: [answer.map(() => 1 / answer.length)], soft: [answer.map((_, t) => Number(t < 9))] },
      perPrompt: { patchShare: Float32Array.from({ length: 16 }, (_, i) => i / 16), patchWeight: Float32Array.of(1) },
    };
    const lesson = supervisedGraph(policy.config, policy.tokenizer, { patchMask: 0.5, softNumbers: 2 });
    const first = await policy.gradient(lesson, [row], 1);
    expect(first.metrics['patches']).toBeCloseTo(Math.LN2, 1);
    for (let i = 0; i < 5; i++) await policy.step((await policy.gradient(lesson, [row], 1)).gradient, { ...settings, learningRate: 3e-3 });
    const last = await policy.gradient(lesson, [row], 1);
    for (const name of ['loss', 'nll', 'patches']) expect(last.metrics[name], name).toBeLessThan(first.metrics[name]);
    const dir = join(await folder(), 'saved');
    await policy.save(dir);
    expect((await folderTensors(dir)).names.filter((name) => name.startsWith('patch'))).toEqual([]);
  });
});

describe('save', () => {
  it.each([['flat names, one file', tiny], ['nested names, two files of bfloat16 written in float32, a tied head', tied]])('keeps %s', async (_, from) => {
    const policy = await open({ save: 'float32' }, from);
    const rows = lessons(policy, 2).slice(0, 2);
    await policy.step((await policy.gradient(graph, rows, 1)).gradient, settings);
    const dir = join(await folder(), 'saved');
    await policy.save(dir);

    const [own, original] = [await openSafetensors(join(dir, 'model.safetensors')), await folderTensors(from)];
    expect(own.names.toSorted()).toEqual(original.names.toSorted());
    for (const name of own.names) expect([name, own.info(name).shape, own.info(name).dtype]).toEqual([name, original.info(name).shape, 'F32']);
    const others = (await readdir(from)).filter((file) => !file.includes('.safetensors'));
    expect((await readdir(dir)).toSorted()).toEqual([...others, 'model.safetensors'].toSorted());
    for (const file of others) expect(await readFile(join(dir, file), 'utf8')).toBe((await readFile(join(from, file), 'utf8')).replace(/"bfloat16"/, '"float32"'));

    const again = await open({}, dir);
    const [a, b] = [await policy.gradient(graph, rows, 1), await again.gradient(graph, rows, 1)];
    expect(Buffer.compare(Buffer.from(a.gradient.buffer), Buffer.from(b.gradient.buffer))).toBe(0);
    expect(unversioned(await again.write(prompts(again).slice(0, 1), writing))).toEqual(unversioned(await policy.write(prompts(policy).slice(0, 1), writing)));
  });

  it('takes the place of an older checkpoint and leaves nothing beside it', async () => {
    const policy = await open();
    const dir = await folder();
    await cp(tied, join(dir, 'saved'), { recursive: true });
    await policy.save(join(dir, 'saved'));
    await policy.save(join(dir, 'saved'));
    expect(await readdir(dir)).toEqual(['saved']);
    expect((await readdir(join(dir, 'saved'))).filter((file) => file.includes('.safetensors'))).toEqual(['model.safetensors']);
  });
});

describe('a policy that learns nothing', () => {
  it.each([['float32 out of its files', tiny, 1], ['two files of bfloat16, a copy a worker', tied, 2]])('writes and scores as one that may: %s', async (_, from, workers) => {
    const [fixed, free] = [await open({ train: 'none', workers }, from), await open({}, from)];
    const rows = lessons(free, 2).slice(0, 2);
    expect(fixed.parameters).toBe(0);
    expect(await fixed.write(prompts(fixed), writing)).toEqual(await free.write(prompts(free), writing));
    expect(await fixed.reference(rows, 1)).toEqual(await free.reference(rows, 1));
  });

  it('refuses a gradient', async () => {
    const policy = await open({ train: 'none' });
    await expect(policy.gradient(graph, lessons(policy, 2).slice(0, 1), 1)).rejects.toThrow(new ModelError(`${tiny}  train: expected weights that learn; got a policy opened with "none"`));
  });
});

describe('openQwen refuses', () => {
  async function edited(change: (tensors: StoredTensor[]) => StoredTensor[]): Promise<string> {
    const dir = await folder();
    await cp(tiny, dir, { recursive: true });
    const from = await openSafetensors(join(tiny, 'model.safetensors'));
    const all = await Promise.all(from.names.map(async (name) => ({ name, dtype: 'F32' as const, shape: from.info(name).shape, data: await from.read(name) })));
    await writeSafetensors(join(dir, 'model.safetensors'), change(all), { format: 'pt' });
    return dir;
  }
  const norm = 'model.norm.weight';

  it('a checkpoint without a tensor', async () => {
    const dir = await edited((tensors) => tensors.filter(({ name }) => name !== norm));
    await expect(open({}, dir)).rejects.toThrow(new ModelError(`${dir}  ${norm}: expected a tensor of that name; got none`));
  });

  it.each([
    ['bytes as bitsandbytes packs them', { dtype: 'U8', shape: [64] }],
    ['8-bit integers', { dtype: 'I8', shape: [64] }],
    ['8-bit floats', { dtype: 'F8_E4M3', shape: [64] }],
    ['32-bit words of small integers', { dtype: 'I32', shape: [64] }],
  ])('%s for a weight', async (_, { dtype, shape }) => {
    const dir = await edited((tensors) => tensors);
    const file = join(dir, 'model.safetensors');
    const bytes = await readFile(file);
    const length = Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<string, { data_offsets: [number, number] }>;
    const [begin] = header[norm].data_offsets;
    const text = Buffer.from(JSON.stringify({ ...header, [norm]: { dtype, shape, data_offsets: [begin, begin + shape[0] * (dtype === 'I32' ? 4 : 1)] } }));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(text.length));
    await writeFile(file, Buffer.concat([size, text, bytes.subarray(8 + length)]));
    await expect(open({}, dir)).rejects.toThrow(new ModelError(`${file}  ${norm}: expected no quantization: F32, F16, BF16; got ${dtype}`));
  });

  it('a tensor of another shape', async () => {
    const dir = await edited((tensors) => tensors.map((one) => (one.name === norm ? { ...one, shape: [32, 2] } : one)));
    await expect(open({}, dir)).rejects.toThrow(new ModelError(`${join(dir, 'model.safetensors')}  ${norm}: expected shape [64]; got [32, 2]`));
  });
});

describe('release', () => {
  it('waits for what runs, and refuses what waits or comes later', async () => {
    const policy = await open();
    const asked = prompts(policy).slice(0, 1);
    const expected = await policy.write(asked, writing);
    const running = policy.write(asked, writing);
    const waiting = policy.write([...asked, ...asked], writing).catch((error: unknown) => error);
    await setImmediate();
    const released = policy.release();
    expect(await running).toEqual(expected);
    expect(await waiting).toMatchObject({ message: expect.stringContaining('release') });
    await released;
    await expect(policy.write(asked, writing)).rejects.toThrow('release');
    await policy.release();
  });
});
