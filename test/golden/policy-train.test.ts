import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { openSafetensors, type Tensors } from '../../src/io/safetensors.js';
import type { TrainRow } from '../../src/models/policy.js';
import { openPolicy } from '../../src/models/policies.js';
import type { VlmPolicy } from '../../src/models/vlm/policy.js';
import type { Objective } from '../../src/objectives/objective.js';
import { dapo, segR1 } from '../../src/objectives/policy-gradient.js';
import { decays, scheduleOf, OptimizerOptions } from '../../src/operators/training/schedule.js';
import { gradientNorm } from '../../src/tensor/adamw.js';
import {
  agrees,
  batch,
  batchImages,
  completionsInOrder,
  GRADIENT,
  named,
  TINY,
  trainRows,
  WEIGHT_DECAYS,
  type Summary,
} from './policy-batch.js';
import { farthest, folder, has, integers, json, rowsOf, stored } from './policy-cases.js';

interface Report {
  readonly grad_sum_and_norm: Summary;
  readonly no_weight_decay_on: readonly string[];
  readonly [run: `wd${number}`]: readonly { readonly loss: number; readonly grad_norm_before_clipping: number }[];
  readonly [state: `wd${number}.step${number}.sum_and_norm`]: Summary;
}

const train = json<
  {
    lr: number;
    betas: [number, number];
    max_grad_norm: number;
    sft: { answer: { loss: number; grad_norm: number; grad_sum_and_norm: Summary } };
  } & Record<'seg-r1' | 'dapo', Report>
>('train/train.json');
const objectives: readonly (readonly ['seg-r1' | 'dapo', Objective])[] = [
  ['seg-r1', segR1(0.04)],
  ['dapo', dapo(0)],
];

const scratch: string[] = [];
let policy: VlmPolicy;
beforeEach(async () => void (policy = await open()));
afterEach(() => policy.release());
afterAll(() => Promise.all(scratch.map((dir) => rm(dir, { recursive: true }))));

describe.each(objectives)('%s agrees with torch', (kind, objective) => {
  const report = train[kind];
  let rows: TrainRow[];
  beforeAll(async () => void (rows = await trainRows(objective)));

  it('in the loss and its gradient, the prompt read once a group', async () => {
    const { gradient, metrics } = await policy.gradient({ loss: { objective }, rows, temperature: 1 });
    expect(metrics['loss']).toBeCloseTo(report['wd0'][0].loss, 5);
    const parts = named(policy.config, gradient);
    const file = `train/${kind}.safetensors`;
    const golden = has(file) ? await stored(file) : undefined;
    for (const [name, [sum, norm]] of Object.entries(report.grad_sum_and_norm)) {
      agrees(parts[name], sum, norm, name, 1e-4 * norm);
      const values = golden?.has(`${kind}.grad.${name}`) ? await golden.read(`${kind}.grad.${name}`) : undefined;
      if (values) expect(farthest(parts[name], values, GRADIENT.floor), name).toBeLessThan(GRADIENT.relative);
    }
    expect(Object.keys(parts).toSorted()).toEqual(Object.keys(report.grad_sum_and_norm).toSorted());
  });

  it('in log-probs and what is reported', async () => {
    const file = `train/${kind}.safetensors`;
    const scores = await policy.referenceScores({ rows, temperature: 1 });
    if (has(file)) {
      const golden = rowsOf(await (await stored(file)).read(`${kind}.logp`), batch.info('mask').shape[1]);
      const order = await completionsInOrder(rows);
      for (const [i, own] of scores.flat().entries())
        expect(farthest(own, golden[order[i]].slice(0, own.length))).toBeLessThan(1e-5);
    }
    const { metrics } = await policy.gradient({ loss: { objective }, rows, temperature: 1 });
    const all = (name: string): number[] => rows.flatMap((row) => row.perToken[name]).flat();
    const own = scores.flat(2);
    const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(metrics['drift']).toBeCloseTo(mean(own.map((p, i) => p - all('oldLogProbs')[i])), 5);
    expect(metrics['kl'] ?? 0).toBeCloseTo(
      objective.kl === 0 ? 0 : mean(all('refLogProbs').map((r, i) => Math.exp(r - own[i]) - (r - own[i]) - 1)),
      5,
    );
  });

  it.each(WEIGHT_DECAYS)('in three steps with a weight decay of %d', async (weightDecay) => {
    const rate = scheduleOf(
      OptimizerOptions.parse({
        learningRate: train.lr,
        weightDecay,
        beta1: train.betas[0],
        beta2: train.betas[1],
        maxNorm: train.max_grad_norm,
      }),
    );
    const tiny: Record<string, Float32Array> = {};
    for (const step of [1, 2, 3]) {
      const { gradient, metrics } = await policy.gradient({ loss: { objective }, rows, temperature: 1 });
      for (const [name, part] of Object.entries(named(policy.config, gradient)))
        tiny[name] = (tiny[name] ?? part).map((least, i) => Math.min(Math.abs(least), Math.abs(part[i])));
      const expected = report[`wd${weightDecay}`][step - 1];
      expect(Math.abs(metrics['loss'] - expected.loss)).toBeLessThan(step === 1 ? 1e-5 : 1e-3);
      const norm = await policy.step(gradient, rate(step));
      expect(Math.abs(norm / expected.grad_norm_before_clipping - 1)).toBeLessThan(step === 1 ? 1e-5 : 1e-3);
      if (step !== 2) await parametersAgree(kind, weightDecay, step, tiny);
    }
  });

  it('in what decays', () => {
    const exempt = policy.config.architecture
      .weightShapes(policy.config)
      .map(({ name }) => name)
      .filter((name) => !decays(name));
    expect(exempt.toSorted()).toEqual([...report.no_weight_decay_on].toSorted());
  });
});

const SFT = 'train/sft.safetensors';
describe.skipIf(!has(SFT))(
  'supervised answers agree with torch (too large for the copy, so only where the full goldens are)',
  () => {
    it('in the loss and its gradient', async () => {
      const golden = await stored(SFT);
      const width = golden.info('input_ids').shape[1];
      const labels = rowsOf(await integers(golden, 'labels.answer'), width);
      const ids = rowsOf(await integers(golden, 'input_ids'), width);
      const padding = rowsOf(await integers(golden, 'attention_mask'), width).map((row) => row.indexOf(1));
      const images = await batchImages();
      const answers = labels.map((row) => row.filter((id) => id >= 0));
      const tokens = answers.reduce((sum, answer) => sum + answer.length, 0);
      const rows = ids.map((row, r): TrainRow => ({
        prompt: {
          text: '',
          tokens: row.slice(
            padding[r],
            labels[r].findIndex((id) => id >= 0),
          ),
          images: [images[r]],
        },
        completions: [answers[r]],
        perToken: { weight: [answers[r].map(() => 1 / tokens)] },
      }));
      const { gradient, metrics } = await policy.gradient({
        loss: { supervised: { patchMask: 0, softNumbers: 0 } },
        rows,
        temperature: 1,
      });
      const { loss, grad_norm: length, grad_sum_and_norm: summary } = train.sft.answer;
      expect(metrics).toEqual({ loss: expect.closeTo(loss, 4), nll: expect.closeTo(loss, 4) });
      expect(gradientNorm(gradient) / length).toBeCloseTo(1, 4);
      const parts = named(policy.config, gradient);
      for (const [name, [sum, norm]] of Object.entries(summary)) {
        agrees(parts[name], sum, norm, name, 1e-4 * norm);
        if (golden.has(`answer.grad.${name}`))
          expect(farthest(parts[name], await golden.read(`answer.grad.${name}`), GRADIENT.floor), name).toBeLessThan(
            GRADIENT.relative,
          );
      }
    });
  },
);

function open(): Promise<VlmPolicy> {
  return openPolicy(join(folder, 'tiny-qwen2_5_vl'), { workers: 1, threads: 1, batch: 2, suppressed: [] });
}

async function parametersAgree(
  kind: 'seg-r1' | 'dapo',
  weightDecay: number,
  step: number,
  gradients: Readonly<Record<string, Float32Array>>,
): Promise<void> {
  const saved = await save();
  const report = train[kind];
  const file = `train/${kind}.safetensors`;
  const golden = has(file) ? await stored(file) : undefined;
  for (const [name, [, norm]] of Object.entries(report[`wd${weightDecay}.step${step}.sum_and_norm`])) {
    const own = await saved.read(name);
    // As far as the tiny gradients among them may have gone astray.
    const astray = gradients[name].reduce((count, g) => count + (Math.abs(g) < TINY ? 1 : 0), 0);
    expect(Math.abs(gradientNorm(own) - norm), `norm of ${name}`).toBeLessThan(
      1e-5 * norm + step * train.lr * Math.sqrt(astray) + 1e-5,
    );
    const key = `${kind}.wd${weightDecay}.step${step}.${name}`;
    if (!golden?.has(key)) continue;
    const expected = await golden.read(key);
    expect(
      farthest(own, expected, 1, (i) => Math.abs(gradients[name][i]) >= TINY),
      name,
    ).toBeLessThan(1e-4);
    expect(
      farthest(own, expected, 1, (i) => Math.abs(gradients[name][i]) < TINY),
      name,
    ).toBeLessThan(2 * step * train.lr);
  }
}

async function save(): Promise<Tensors> {
  const dir = await mkdtemp(join(tmpdir(), 'segr1-train-'));
  scratch.push(dir);
  await policy.save(join(dir, 'saved'));
  return openSafetensors(join(dir, 'saved', 'model.safetensors'));
}
