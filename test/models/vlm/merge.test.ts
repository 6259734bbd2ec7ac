import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { folderTensors, openSafetensors, writeSafetensors, type Dtype } from '../../../src/io/safetensors.js';
import { readAdapter } from '../../../src/models/vlm/adapter.js';
import { readConfig } from '../../../src/models/qwen2_5_vl/architecture.js';
import { sideName } from '../../../src/models/vlm/lora.js';
import { copyCheckpoint, exportMerged } from '../../../src/models/policies.js';
import type { EncodedPrompt, GeneratedCompletion } from '../../../src/models/policy.js';
import type { VlmPolicy } from '../../../src/models/vlm/policy.js';
import { hash, uniform } from '../../../src/random.js';
import { goldenFolder } from '../../golden/golden.js';
import { asking } from './lessons.js';
import { folder, open, tied, tiny } from './opened.js';

const goldens = join(goldenFolder(), 'policy', 'train');
const kinds = (await readdir(goldens))
  .filter((name) => /^lora.*\.safetensors$/.test(name))
  .map((name) => name.replace('.safetensors', ''));

/** What may lie beside somebody's weights. */
const STRANGE = [
  '.env',
  'README.md',
  'pytorch_model.bin',
  'consolidated.safetensors',
  'tokenizer.json.bak',
  'training_args.bin',
  'notes.txt',
  'config.json.orig',
];

/** An adapter of random values on both sides. */
async function drawn(from: string, rsLora = false, targets = ['q_proj', 'down_proj']): Promise<string> {
  const dir = join(await folder(), 'adapter');
  const policy = await open({ train: { lora: { rank: 3, alpha: 7, rsLora, targets } } }, from);
  await policy.save(dir);
  const file = join(dir, 'adapter_model.safetensors');
  const tensors = await openSafetensors(file);
  await writeSafetensors(
    file,
    tensors.names.map((name) => ({
      name,
      dtype: 'F32' as const,
      shape: tensors.info(name).shape,
      data: Float32Array.from({ length: tensors.info(name).bytes / 4 }, (_, i) => 0.2 * (uniform(name, i) - 0.5)),
    })),
  );
  return dir;
}

function asked(policy: VlmPolicy): EncodedPrompt[] {
  const data = Uint8Array.from({ length: 3 * 56 * 56 }, (_, i) => hash('pixel', i >> 6) & 255);
  return [policy.encode({ instruction: 'the bird' }, { width: 56, height: 56, data })];
}

const scored = (policy: VlmPolicy) =>
  policy.generate(
    asking(asked(policy), {
      group: 4,
      temperature: 1,
      maxTokens: 12,
      entropy: true,
    }),
  );

describe.each(kinds)('the adapter %s of PEFT, folded in', (kind) => {
  it('gives the matrices that PEFT makes', async () => {
    const dir = join(await folder(), 'merged');
    const golden = await openSafetensors(join(goldens, `${kind}.safetensors`));
    const base = join(goldenFolder(), 'policy', 'tiny-qwen2_5_vl');
    await exportMerged(base, join(goldens, kind), dir);
    const merged = await folderTensors(dir);
    const names = golden.names.filter((name) => name.startsWith('merged.model.'));
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) {
      const [own, expected] = [await merged.read(name.slice('merged.'.length)), await golden.read(name)];
      // One rounding of a value below 1, and that of another order of summation.
      expect(
        own.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0),
        name,
      ).toBeLessThan(2e-7);
    }
  });
});

describe('mergeAdapter', () => {
  let adapter: string;
  beforeAll(async () => void (adapter = await drawn(tiny, true)));

  it('adds scale · B · A, the scale alpha by the root of the rank where that is asked for', async () => {
    const dir = join(await folder(), 'merged');
    expect(await exportMerged(tiny, adapter, dir)).toBe(
      (await readAdapter(adapter, await readConfig(tiny))).adapter.matrices.length,
    );
    const [base, merged, sides] = [
      await folderTensors(tiny),
      await folderTensors(dir),
      await openSafetensors(join(adapter, 'adapter_model.safetensors')),
    ];
    const config = await readConfig(tiny);
    const name = 'model.layers.0.self_attn.q_proj.weight';
    const [w, a, b, got] = [
      await base.read(name),
      await sides.read(sideName(config, name, 'A')),
      await sides.read(sideName(config, name, 'B')),
      await merged.read(name),
    ];
    const columns = base.info(name).shape[1];
    for (const i of [0, columns + 3, w.length - 1]) {
      const [row, column] = [Math.floor(i / columns), i % columns];
      const sum = [0, 1, 2].reduce((all, r) => all + b[3 * row + r] * a[r * columns + column], 0);
      expect(got[i]).toBeCloseTo(w[i] + (7 / Math.sqrt(3)) * sum, 6);
    }
  });

  it.each([
    ['of some layers', undefined],
    ['of the head too', ['k_proj', 'lm_head', 'qkv']],
  ])('writes what an adapter %s computes when it is on', async (_, targets) => {
    const [dir, own] = [join(await folder(), 'merged'), targets ? await drawn(tiny, false, targets) : adapter];
    await exportMerged(tiny, own, dir);
    const [[on], [merged], [off]] = [
      await scored(await open({ adapter: own })),
      await scored(await open({}, dir)),
      await scored(await open()),
    ] as const;
    expect(merged.map(({ tokens }) => tokens)).toEqual(on.map(({ tokens }) => tokens));
    expect(merged.map(({ tokens }) => tokens)).not.toEqual(off.map(({ tokens }) => tokens));
    // The same sums in another order: sixteen roundings, of 2^-24 each, of values up to 16; how many they are is up to
    // the CPU's kernels.
    const numbers = (all: readonly GeneratedCompletion[]): number[] =>
      all.flatMap(({ logProbs, entropies = [] }) => [...logProbs, ...entropies]);
    const apart = numbers(merged).map((value, i) => Math.abs(value - numbers(on)[i]));
    expect(Math.max(...apart)).toBeLessThan(16 * 16 * 2 ** -24);
  });

  it('keeps files, names, kinds of numbers, and bytes that the adapter does not touch', async () => {
    const [dir, other] = [join(await folder(), 'merged'), await drawn(tied)];
    await exportMerged(tied, other, dir);
    expect((await readdir(dir)).toSorted()).toEqual((await readdir(tied)).toSorted());
    const [base, merged] = [await folderTensors(tied), await folderTensors(dir)];
    expect(merged.names.toSorted()).toEqual(base.names.toSorted());
    let changed = 0;
    for (const name of base.names) {
      expect(merged.info(name).dtype).toBe<Dtype>('BF16');
      if (Buffer.compare(await base.readBytes(name), await merged.readBytes(name)) === 0) continue;
      expect(name).toMatch(/q_proj|down_proj/);
      changed++;
    }
    expect(changed).toBe((await readAdapter(other, await readConfig(tied))).adapter.matrices.length);
    expect(await readFile(join(dir, 'tokenizer.json'))).toEqual(await readFile(join(tied, 'tokenizer.json')));
  });

  it('refuses an adapter of another shape, and leaves nothing', async () => {
    const [dir, odd] = [await folder(), await drawn(tiny)];
    const file = join(odd, 'adapter_config.json');
    await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), r: 5 }));
    await expect(exportMerged(tiny, odd, join(dir, 'merged'))).rejects.toThrow('expected shape [5, ');
    expect(await readdir(dir)).toEqual([]);
  });
});

describe('copyCheckpoint', () => {
  it('leaves behind what only the run reads', async () => {
    const [from, to] = [join(await folder(), 'from'), join(await folder(), 'to')];
    await copyCheckpoint(tiny, from);
    for (const name of ['state.json', 'optimizer.safetensors', ...STRANGE]) await writeFile(join(from, name), 'x');
    await copyCheckpoint(from, to);
    expect((await readdir(to)).toSorted()).toEqual((await readdir(tiny)).toSorted());
  });

  it('takes the shards of an index', async () => {
    const to = join(await folder(), 'to');
    await copyCheckpoint(tied, to);
    expect((await readdir(to)).toSorted()).toEqual((await readdir(tied)).toSorted());
  });

  it('copies no weights that are none', async () => {
    const [from, to] = [join(await folder(), 'from'), join(await folder(), 'to')];
    await copyCheckpoint(tiny, from);
    const bytes = await readFile(join(from, 'model.safetensors'));
    bytes.writeFloatLE(NaN, bytes.length - 4);
    await writeFile(join(from, 'model.safetensors'), bytes);
    await expect(copyCheckpoint(from, to)).rejects.toThrow('expected finite numbers');
  });
});

describe('exportMerged', () => {
  it('leaves what is no part of a checkpoint where it lies', async () => {
    const [base, to] = [join(await folder(), 'base'), join(await folder(), 'to')];
    await copyCheckpoint(tiny, base);
    for (const name of STRANGE) await writeFile(join(base, name), 'x');
    await exportMerged(base, await drawn(tiny), to);
    expect((await readdir(to)).toSorted()).toEqual((await readdir(tiny)).toSorted());
  });
});
