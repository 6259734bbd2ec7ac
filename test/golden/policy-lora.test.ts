import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';

import { openSafetensors, type Tensors } from '../../src/io/safetensors.js';
import { readAdapter } from '../../src/models/vlm/adapter.js';
import { completionLength, prefixShape } from '../../src/models/vlm/batch.js';
import { trainFeeds } from '../../src/models/vlm/feeds.js';
import { mergeLinear } from '../../src/models/vlm/linear.js';
import { adapterOf, policyWeights, sideName } from '../../src/models/vlm/lora.js';
import { BASE, loadParameters, type Parameters } from '../../src/models/vlm/parameters.js';
import { openPolicy } from '../../src/models/policies.js';
import type { VlmPolicy } from '../../src/models/vlm/policy.js';
import { scoreGraph } from '../../src/models/vlm/train.js';
import { PLAIN_BUILD } from '../../src/models/vlm/build.js';
import { lendWeights } from '../../src/models/vlm/weight-files.js';
import { segR1 } from '../../src/objectives/policy-gradient.js';
import { scheduleOf, OptimizerOptions } from '../../src/operators/training/schedule.js';
import { gradientNorm } from '../../src/tensor/adamw.js';
import { graphOf, type Feeds, type Graph, type RunResult } from '../../src/tensor/engine.js';
import { openEngine } from '../../src/tensor/engines.js';
import { agrees, batch, completionsInOrder, TINY, trainRows, WEIGHT_DECAYS, type Summary } from './policy-batch.js';
import { farthest, folder, has, json, rowsOf, stored } from './policy-cases.js';

interface Report {
  readonly grad_sum_and_norm: Summary;
  readonly adapted_modules: readonly string[];
  readonly trained: number;
  readonly [run: `wd${number}`]: readonly { readonly loss: number; readonly grad_norm_before_clipping: number }[];
  readonly [state: `wd${number}.step${number}.sum_and_norm`]: Summary;
}

const kinds = ['lora', 'lora-language-only'] as const;
const tiny = join(folder, 'tiny-qwen2_5_vl');
const train = json<
  { lr: number; betas: [number, number]; max_grad_norm: number } & Record<(typeof kinds)[number], Report>
>('train/train.json');
const objective = segR1(0.04);
const loss = { objective };

const scratch: string[] = [];
let policy: VlmPolicy;
afterAll(() => Promise.all(scratch.map((dir) => rm(dir, { recursive: true }))));

// The other's results are too large for the copy, so they are compared only where the full goldens are.
describe.each(kinds.filter((kind) => has(`train/${kind}.safetensors`)))(
  'an adapter of PEFT, %s, agrees with torch',
  (kind) => {
    const report = train[kind];
    const dir = join(folder, 'train', kind);
    beforeEach(
      async () =>
        void (policy = await openPolicy(tiny, { workers: 1, threads: 1, batch: 2, suppressed: [], adapter: dir })),
    );
    afterEach(() => policy.release());

    it('in the modules that it hits', async () => {
      const described = JSON.parse(await readFile(join(dir, 'adapter_config.json'), 'utf8')) as {
        r: number;
        lora_alpha: number;
        target_modules: string | string[];
      };
      const chosen =
        typeof described.target_modules === 'string'
          ? { pattern: described.target_modules }
          : { targets: described.target_modules };
      const { matrices } = adapterOf(policy.config, { rank: described.r, alpha: described.lora_alpha, ...chosen });
      const { names } = await stored(`train/${kind}/adapter_model.safetensors`);
      expect(
        matrices.flatMap((name) => [sideName(policy.config, name, 'A'), sideName(policy.config, name, 'B')]).toSorted(),
      ).toEqual(names.toSorted());
      expect(matrices).toHaveLength(report.adapted_modules.length);
      expect(policy.parameters).toBe(report.trained);
    });

    it('in the matrices that it makes, and the log-probs by them', async () => {
      const golden = await stored(`train/${kind}.safetensors`);
      const parameters = await loadParameters(tiny, policy.config, { adapter: dir });
      const rows = await trainRows(objective);
      const merged = golden.names.filter((name) => name.startsWith('merged.model.'));
      const { weights } = policyWeights(policy.config, parameters.adapter);
      const matrix = (name: string) => mergeLinear(weights.linear(name.replace(/^merged\.(.*)\.weight$/, '$1')));
      const { outputs } = await runOnce(
        graphOf('merged', Object.fromEntries(merged.map((name) => [name, matrix(name)]))),
        {},
        parameters,
      );
      for (const name of merged)
        expect(farthest(outputs[name] as Float32Array, await golden.read(name)), name).toBeLessThan(1e-6);

      const expected = rowsOf(await golden.read('merged.logp'), batch.info('mask').shape[1]);
      const order = await completionsInOrder(rows);
      let at = 0;
      for (const row of rows) {
        const shape = {
          ...prefixShape([row.prompt], 1),
          samples: row.completions.length,
          length: completionLength([row]),
          suppressed: [],
        };
        const feeds = trainFeeds(policy.config, [{ ...row, perToken: {}, perSample: {} }], shape, 1);
        const answer = await runOnce(
          scoreGraph(policy.config, shape, 'adapted', { ...PLAIN_BUILD, adapter: parameters.adapter }),
          feeds,
          parameters,
        );
        for (const [s, tokens] of row.completions.entries()) {
          const own = (answer.outputs['logProbs'] as Float32Array).subarray(
            s * shape.length,
            s * shape.length + tokens.length,
          );
          expect(farthest(own, expected[order[at++]].slice(0, tokens.length))).toBeLessThan(2e-5);
        }
      }
    });

    it('in the loss and its gradient', async () => {
      const golden = await stored(`train/${kind}.safetensors`);
      const { gradient, metrics } = await policy.gradient({
        loss,
        rows: await trainRows(objective),
        temperature: 1,
      });
      // As x · W + scale · B · A · x the sums are taken in another order: a loss rounds with its size.
      expect(Math.abs(metrics['loss'] - report['wd0'][0].loss)).toBeLessThan(
        1e-5 * Math.max(1, Math.abs(report['wd0'][0].loss)),
      );
      const parts = await named(gradient, dir);
      expect(Object.keys(parts).toSorted()).toEqual(Object.keys(report.grad_sum_and_norm).toSorted());
      for (const [name, [sum, norm]] of Object.entries(report.grad_sum_and_norm)) {
        agrees(parts[name], sum, norm, name, 1e-4 * norm);
        const expected = await golden.read(`seg-r1.grad.${name}`);
        // PEFT multiplies by one side after the other, which rounds as large as the largest of them: torch's float32
        // lies up to 3e-5 of that from its float64, and ours may as far on the other side.
        const floor = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        expect(farthest(parts[name], expected, floor), name).toBeLessThan(6e-5);
      }
    });

    it.each(WEIGHT_DECAYS)('in three steps with a weight decay of %d', async (weightDecay) => {
      const rows = await trainRows(objective);
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
        const { gradient, metrics } = await policy.gradient({ loss, rows, temperature: 1 });
        for (const [name, part] of Object.entries(await named(gradient, dir)))
          tiny[name] = (tiny[name] ?? part).map((least, i) => Math.min(Math.abs(least), Math.abs(part[i])));
        const expected = report[`wd${weightDecay}`][step - 1];
        // A loss rounds with its size.
        expect(Math.abs(metrics['loss'] - expected.loss)).toBeLessThan(
          (step === 1 ? 1e-5 : 1e-3) * Math.max(1, Math.abs(expected.loss)),
        );
        const norm = await policy.step(gradient, rate(step));
        expect(Math.abs(norm / expected.grad_norm_before_clipping - 1)).toBeLessThan(step === 1 ? 1e-5 : 1e-3);
        if (step !== 2) await parametersAgree(kind, weightDecay, step, tiny);
      }
    });
  },
);

/** Pieces of a flat array by the adapter's tensors. */
async function named(flat: Float32Array, dir: string): Promise<Record<string, Float32Array>> {
  const { shapes } = await readAdapter(dir, policy.config);
  let at = 0;
  return Object.fromEntries(
    shapes.map(({ name, sizes }) => {
      const first = at;
      at += Object.values(sizes).reduce((product, size) => product * size, 1);
      return [name, flat.subarray(first, at)];
    }),
  );
}

async function runOnce(graph: Graph, feeds: Feeds, { trained, frozen }: Parameters): Promise<RunResult> {
  const engine = openEngine({ workers: 1, threads: 1 });
  try {
    const sets = [trained.name, BASE];
    await engine.parameters(trained.name, trained.layout, trained.values);
    if (frozen) await lendWeights(engine, BASE, frozen);
    await engine.open(graph, sets);
    return await engine.run(graph, feeds, sets);
  } finally {
    await engine.release();
  }
}

async function parametersAgree(
  kind: (typeof kinds)[number],
  weightDecay: number,
  step: number,
  gradients: Readonly<Record<string, Float32Array>>,
): Promise<void> {
  const saved = await save();
  const golden = await stored(`train/${kind}.safetensors`);
  for (const [name, [, norm]] of Object.entries(train[kind][`wd${weightDecay}.step${step}.sum_and_norm`])) {
    const own = await saved.read(name);
    // As far as the tiny gradients among them may have gone astray.
    const astray = gradients[name].reduce((count, g) => count + (Math.abs(g) < TINY ? 1 : 0), 0);
    expect(Math.abs(gradientNorm(own) - norm), `norm of ${name}`).toBeLessThan(
      1e-5 * norm + step * train.lr * Math.sqrt(astray) + 1e-5,
    );
    const key = `seg-r1.wd${weightDecay}.step${step}.${name}`;
    if (!golden.has(key)) continue;
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
  const dir = await mkdtemp(join(tmpdir(), 'segr1-lora-'));
  scratch.push(dir);
  await policy.save(join(dir, 'saved'));
  return openSafetensors(join(dir, 'saved', 'adapter_model.safetensors'));
}
