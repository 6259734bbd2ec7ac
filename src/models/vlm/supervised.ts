import type { Fitted, Mask } from '../../records.js';
import { decodeMask } from '../../io/mask.js';
import { uniform } from '../../random.js';
import type { Tensor } from '../../tensor/graph.js';
import {
  add,
  constant,
  gather,
  greater,
  input,
  mean,
  mul,
  neg,
  pick,
  sub,
  sum,
  total,
  log,
  exp,
  maximum,
  abs,
  where,
} from '../../tensor/ops.js';
import type { EncodedPrompt, SupervisedLoss, TrainRow } from '../policy.js';
import type { VlmConfig } from './architecture.js';
import { applyLinear } from './linear.js';
import { patchPlaces, type Grid } from './patches.js';
import type { Tokenizer } from './tokenizer.js';
import type { TrainGraph } from './train.js';
import type { FirstValues } from './weights.js';

const HEAD = 'patch_mask';

/** The linear head of the patch-mask loss: a logit for each patch of a merged token. It is not part of a checkpoint. */
export function patchMaskHead({ text, vision }: VlmConfig): FirstValues[] {
  const corner = vision.merge ** 2;
  return [
    { name: `${HEAD}.weight`, sizes: { corner, width: text.hidden }, first: (i) => 0.08 * (uniform(HEAD, i) - 0.5) },
    { name: `${HEAD}.bias`, sizes: { corner }, first: () => 0 },
  ];
}

/**
 * Cross-entropy on given completions; with a weight on the patch-mask loss, image tokens also predict where the object
 * is.
 *
 * Inputs beside the batch: `weight` and `soft` [prompt, sample, token] (1 where a number's neighbours count as nearly
 * right), `patchShare` [prompt, visual, corner] in [0, 1] and `patchWeight` [prompt] where `patchMask` > 0 and a prompt
 * has one image: with several it is unknown which one the mask belongs to.
 */
export function supervisedGraph(
  config: VlmConfig,
  tokenizer: Tokenizer,
  { patchMask, softNumbers }: SupervisedLoss,
): TrainGraph {
  return {
    name: `supervised ${patchMask} ${softNumbers}`,
    ...(patchMask > 0 ? { extra: patchMaskHead(config) } : {}),
    build({ weights, prefix, score }, { prompts: prompt, samples: sample, length: token, grids }) {
      const weight = input('weight', 'float32', { prompt, sample, token });
      const near = softNumbers > 0 ? neighbours(config, tokenizer, softNumbers) : undefined;
      const { exact, soft } = score((logProbs, written) => {
        const own = pick(logProbs, 'vocab', written);
        return { exact: own, soft: near?.({ written, logProbs, exact: own }) ?? own };
      });
      const likelihood = near ? mixed(exact, soft, { prompt, sample, token }) : exact;
      const answer = neg(total(mul(likelihood, weight)));
      const reported = { nll: neg(total(mul(exact, weight))) };
      const [grid] = grids;
      if (patchMask === 0 || !prefix.features || !grid || grids.length > 1) return { loss: answer, ...reported };
      const visual = (grid.h * grid.w) / config.vision.merge ** 2;
      const share = input('patchShare', 'float32', { prompt, visual, corner: config.vision.merge ** 2 });
      const logits = applyLinear(weights.linear(HEAD), prefix.features);
      const patches = total(
        mul(mean(crossEntropy(logits, share), 'visual', 'corner'), input('patchWeight', 'float32', { prompt })),
      );
      return { loss: add(answer, mul(patches, patchMask)), patches, ...reported };
    },
  };
}

/** Binary cross-entropy of logits, stable for large ones. */
function crossEntropy(logits: Tensor, target: Tensor): Tensor {
  return add(sub(maximum(logits, 0), mul(logits, target)), log(add(exp(neg(abs(logits))), 1)));
}

function mixed(exact: Tensor, soft: Tensor, place: { prompt: number; sample: number; token: number }): Tensor {
  const share = input('soft', 'float32', place);
  return add(exact, mul(share, sub(soft, exact)));
}

/** Σ target · log-prob, where the target of a number token is spread over its neighbours. */
function neighbours(
  config: VlmConfig,
  tokenizer: Tokenizer,
  sigma: number,
): (of: { readonly written: Tensor; readonly logProbs: Tensor; readonly exact: Tensor }) => Tensor {
  const { vocab } = config.text;
  const numbers = Array.from({ length: Math.min(vocab, tokenizer.size) }, (_, id) => ({
    id,
    text: tokenizer.decode([id]),
  })).filter(({ text }) => /^\d+$/.test(text));
  // Row 0 is for all tokens that are no number: a table of the whole vocabulary squared would not fit.
  const rows = new BigInt64Array(vocab);
  const table = new Float32Array((numbers.length + 1) * vocab);
  for (const [row, { id, text }] of numbers.entries()) {
    rows[id] = BigInt(row + 1);
    const weights = numbers.map((other) => Math.exp(-0.5 * ((Number(other.text) - Number(text)) / sigma) ** 2));
    const all = weights.reduce((sum, w) => sum + w, 0);
    for (const [i, other] of numbers.entries()) table[(row + 1) * vocab + other.id] = weights[i] / all;
  }
  const [rowOf, targets] = [constant(rows, { vocab }), constant(table, { right: numbers.length + 1, vocab })];
  return ({ written, logProbs, exact }) => {
    const row = gather(rowOf, 'vocab', written);
    return where(greater(row, 0), sum(mul(gather(targets, 'right', row), logProbs), 'vocab'), exact);
  };
}

/** Share of each patch that a mask covers, [visual, corner] in the image processor's patch order. */
export function patchShares(mask: Mask, grid: Grid, merge: number): Float32Array {
  const bits = decodeMask(mask);
  const places = patchPlaces(grid, merge);
  const edge = (i: number, side: number, cells: number): number => Math.round((i * side) / cells);
  return Float32Array.from({ length: grid.h * grid.w }, (_, patch) => {
    const [row, column] = [places[2 * patch], places[2 * patch + 1]];
    const [top, bottom] = [edge(row, mask.height, grid.h), edge(row + 1, mask.height, grid.h)];
    const [left, right] = [edge(column, mask.width, grid.w), edge(column + 1, mask.width, grid.w)];
    let covered = 0;
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) covered += bits[y * mask.width + x];
    return covered / Math.max(1, (bottom - top) * (right - left));
  });
}

/** Inputs of the supervised graph for one row; numbers before `<labels>` have soft targets. */
export function supervisedInputs(
  config: VlmConfig,
  tokenizer: Tokenizer,
  { patchMask, softNumbers }: SupervisedLoss,
  row: Fitted,
  prompt: EncodedPrompt,
  answer: readonly number[],
): Pick<TrainRow, 'perToken' | 'perPrompt'> {
  const labels = row.fitted.text.indexOf('<labels>');
  const coordinates = labels < 0 ? answer.length : tokenizer.encode(row.fitted.text.slice(0, labels)).length;
  const seen = row.candidates?.mask ?? row.truth;
  const [image, ...others] = prompt.images;
  return {
    perToken: softNumbers > 0 ? { soft: [answer.map((_, i) => (i < coordinates ? 1 : 0))] } : {},
    perPrompt:
      patchMask > 0 && image && seen && others.length === 0
        ? { patchShare: patchShares(seen, image.grid, config.vision.merge) }
        : {},
  };
}
