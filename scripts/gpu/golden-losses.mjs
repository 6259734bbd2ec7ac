/**
 * Losses of every objective by themselves, and their gradients by log-probs and entropies: what they add to a training
 * graph.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { openSafetensors } from '../../dist/io/safetensors.js';
import { cispo } from '../../dist/objectives/cispo.js';
import { mostUncertain } from '../../dist/objectives/entropy.js';
import { tokenWeights } from '../../dist/objectives/objective.js';
import { bnpo, dapo, drGrpo, grpo, luspo, segR1 } from '../../dist/objectives/policy-gradient.js';
import { policyLoss } from '../../dist/objectives/policy-loss.js';
import { sapo } from '../../dist/objectives/sapo.js';
import { vespo } from '../../dist/objectives/vespo.js';
import { gradient } from '../../dist/tensor/gradient.js';
import { graphOf } from '../../dist/tensor/engine.js';
import { input } from '../../dist/tensor/ops.js';
import { openEngine } from '../../dist/tensor/engines.js';

const SHAPE = '8x12';
const sum = (values) => values.reduce((total, value) => total + value, 0);

/** One case a variant; those that accumulate say nothing about a device. */
export async function* losses(folder, target) {
  const { defaults, variants, cases } = JSON.parse(readFileSync(join(folder, 'losses', 'losses.json'), 'utf8'));
  const stored = await openSafetensors(join(folder, 'losses', `${SHAPE}.safetensors`));
  const engine = openEngine({ workers: 1, threads: target.threads, device: target.device });
  try {
    for (const [name, variant] of Object.entries(variants)) {
      if ((variant.accumulation ?? 1) > 1) continue;
      const objective = objectiveOf(name, { ...defaults, ...variant });
      const { outputs } = await evaluated(
        engine,
        name,
        objective,
        await feedsOf(stored, variant, objective, cases[SHAPE][name].num_items_in_batch),
      );
      const bonus =
        objective.entropyBonus > 0
          ? {
              'gradient of entropies': {
                own: outputs.entropySlope,
                golden: await stored.read(`grad_entropy.${name}`),
                floor: 1e-3,
                allowed: 1e-4,
              },
            }
          : {};
      yield {
        name,
        parts: {
          loss: { own: [...outputs.loss], golden: [cases[SHAPE][name].loss], allowed: 1e-6 },
          gradient: { own: outputs.slope, golden: await stored.read(`grad.${name}`), floor: 1e-3, allowed: 1e-4 },
          ...bonus,
        },
      };
    }
  } finally {
    await engine.release();
  }
}

async function evaluated(engine, name, objective, { size, feeds }) {
  const [logProbs, entropy] = [input('given', 'float32', size), input('entropies', 'float32', size)];
  const { loss } = policyLoss(objective, { logProbs, entropy }, size);
  const [slope, entropySlope] = gradient(loss, [logProbs, entropy]);
  const graph = graphOf(name, { loss, slope, entropySlope });
  await engine.open(graph);
  const answer = await engine.run(graph, feeds);
  await engine.close(graph);
  return answer;
}

/** @param items tokens of the whole step, where TRL was told. */
async function feedsOf(stored, variant, objective, items) {
  const [sample, token] = stored.info('logp').shape;
  const [logp, old, ref, sampler, entropy, advantages] = await Promise.all(
    ['logp', 'old_logp', 'ref_logp', 'sampler_logp', 'entropy', 'advantages'].map((name) => stored.read(name)),
  );
  const flat = Array.from(await stored.readI64('mask'), Number);
  const mask = Array.from({ length: sample }, (_, r) => flat.slice(r * token, (r + 1) * token));
  const lengths = mask.map(sum);
  const spread = (weights) => Float32Array.from(mask.flatMap((row, r) => row.map((one) => one * weights[r])));
  const entropies = mask.map((row, r) => row.map((one, t) => (one === 1 ? entropy[r * token + t] : NaN)));
  const picked = mostUncertain(entropies, objective.topEntropy).flat();
  const feeds = {
    given: logp,
    entropies: entropy,
    oldLogProbs: variant.on_policy ? logp : old,
    refLogProbs: ref,
    samplerLogProbs: variant.on_policy ? sampler.map((p, i) => p - old[i] + logp[i]) : sampler,
    advantages,
    picked: Float32Array.from(picked),
    bonus: Float32Array.from(picked, (one) => one / Math.max(1, sum(picked))),
    weight: spread(
      tokenWeights(typeof items === 'number' ? [...lengths, items - sum(lengths)] : lengths, objective.average),
    ),
    share: spread(tokenWeights(lengths, 'token')),
    sampleShare: new Float32Array(sample).fill(1 / sample),
  };
  return { size: { prompt: 1, sample, token }, feeds };
}

/** TRL's options as ours. */
function objectiveOf(name, told) {
  const {
    beta: kl,
    epsilon: low,
    epsilon_high: high = low,
    delta,
    loss_type: type = 'grpo',
    mismatch,
    clip_max: most,
    clip_min: min,
  } = told;
  const [level, beyond] = mismatch?.split('_') ?? [];
  const additions = {
    level: told.importance_sampling_level ?? 'token',
    klCorrected: told.use_bias_correction_kl ?? false,
    ...(mismatch
      ? { correction: { level, beyond, max: most ?? Infinity, ...(typeof min === 'number' ? { min } : {}) } }
      : {}),
    ...(typeof told.off_policy_mask_threshold === 'number' ? { offPolicy: told.off_policy_mask_threshold } : {}),
    entropyBonus: told.entropy_coef ?? 0,
    topEntropy: told.top_entropy_quantile,
  };
  if (name === 'seg-r1') return segR1(kl, additions);
  const clip = { low, high, ...(typeof delta === 'number' ? { max: delta } : {}), ...additions };
  const made = {
    grpo: () => grpo(kl, clip),
    bnpo: () => bnpo(kl, clip),
    dr_grpo: () => drGrpo(kl, told.max_completion_length ?? 512, clip),
    dapo: () => dapo(kl, clip),
    luspo: () => luspo(kl, clip),
    cispo: () => cispo(kl, { max: high, ...additions }),
    sapo: () => sapo(kl, { positive: told.sapo_temperature_pos, negative: told.sapo_temperature_neg, ...additions }),
    vespo: () =>
      vespo(kl, {
        positive: { k: told.vespo_k_pos, lambda: told.vespo_lambda_pos },
        negative: { k: told.vespo_k_neg, lambda: told.vespo_lambda_neg },
        ...additions,
      }),
  };
  return made[type]();
}
