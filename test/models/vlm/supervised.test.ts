import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { encodeMask } from '../../../src/io/mask.js';
import { readConfig } from '../../../src/models/qwen2_5_vl/architecture.js';
import type { QwenConfig } from '../../../src/models/qwen2_5_vl/config.js';
import type { Prefix } from '../../../src/models/vlm/prefix.js';
import type { SupervisedLoss } from '../../../src/models/policy.js';
import { patchMaskHead, patchShares, supervisedGraph, supervisedInputs } from '../../../src/models/vlm/supervised.js';
import type { Score } from '../../../src/models/vlm/scores.js';
import type { Tokenizer } from '../../../src/models/vlm/tokenizer.js';
import { weightInputs } from '../../../src/models/vlm/weights.js';
import type { Fitted, Mask } from '../../../src/records.js';
import { input } from '../../../src/tensor/ops.js';
import { ascii } from '../../ascii.js';
import { fixturesFolder } from '../../golden/golden.js';
import { interpret } from '../../tensor/interpret.js';

const tiny = await readConfig(join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl'));
const words = ['a', '10', '11', '13', '<labels>', '!'];
const config: QwenConfig = { ...tiny, text: { ...tiny.text, vocab: words.length, hidden: 2 } };
const tokenizer: Tokenizer = {
  size: words.length,
  special: [],
  encode: (text) => Array.from(text.matchAll(/\d+|<labels>|./g), ([word]) => words.indexOf(word)),
  decode: (ids) => ids.map((id) => words[id]).join(''),
};

function drawn(drawing: string): Mask {
  const { bits, ...size } = ascii(drawing);
  return encodeMask(bits, size);
}

describe('patchShares', () => {
  it('counts the covered part of each patch, one block of four after another', () => {
    const mask = drawn('##...... ##...... #....... ........ ........ ........ ......## ......#.');
    const shares = patchShares(mask, { h: 4, w: 4 }, 2);
    // Patches of 2 × 2 pixels; the first block is the upper left.
    expect([...shares]).toEqual([1, 0, 0.25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.75]);
  });

  it('rounds the edges of patches that are no whole pixels', () => {
    const shares = patchShares(drawn('###.. ###.. ###.. ..... .....'), { h: 2, w: 2 }, 2);
    expect([...shares]).toEqual([1, 0, 0, 0]);
  });

  it('gives a patch of no pixels nothing', () => {
    expect([...patchShares(drawn('#'), { h: 2, w: 2 }, 2)].filter((share) => share > 0)).toEqual([1]);
  });
});

describe('supervisedGraph', () => {
  // Two tokens of one answer: 11, then <labels>.
  const logits = [0.5, -1, 2, 0.25, 0, -0.5, 1, 1, -1, 0, 0.5, 3];
  const logs = [0, 1].map((t) => {
    const row = logits.slice(6 * t, 6 * t + 6);
    const all = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
    return row.map((x) => x - all);
  });
  const place = { prompt: 1, sample: 1, token: 2 };
  const scored =
    (vocab: number): Score =>
    (of) =>
      of(input('logProbs', 'float32', { ...place, vocab }), input('written', 'int64', place));
  const fed = {
    logProbs: logs.flat(),
    written: [2, 4],
    weight: [0.7, 0.3],
    soft: [1, 0],
    features: [1, 2],
    'patch_mask.weight': [1, 0, 0, 1, 1, 1, 50, 50],
    'patch_mask.bias': [0, 0, -3, 0],
    patchShare: [1, 0, 0.5, 1],
    patchWeight: [0.5],
  };

  function built(options: SupervisedLoss, pictured = true): Record<string, number> {
    const graph = supervisedGraph(config, tokenizer, options);
    const prefix = (
      pictured ? { features: input('features', 'float32', { prompt: 1, visual: 1, width: 2 }) } : {}
    ) as Prefix;
    const reading = { weights: weightInputs(graph.extra ?? []), prefix, score: scored(6) };
    const outputs = graph.build(reading, {
      prompts: 1,
      tokens: 8,
      samples: 1,
      length: 2,
      suppressed: [],
      grids: pictured ? [{ h: 2, w: 2 }] : [],
    });
    const values = interpret(Object.values(outputs), fed);
    return Object.fromEntries(Object.keys(outputs).map((name, i) => [name, values[i].data[0]]));
  }
  const nll = -(0.7 * logs[0][2] + 0.3 * logs[1][4]);

  it('is cross-entropy on the answer', () => {
    expect(built({ patchMask: 0, softNumbers: 0 })).toEqual({
      loss: expect.closeTo(nll, 6),
      nll: expect.closeTo(nll, 6),
    });
  });

  it("spreads a coordinate's target over its neighbours, as a Gaussian does, and reports the plain one", () => {
    const bell = [10, 11, 13].map((n) => Math.exp(-0.5 * ((n - 11) / 2) ** 2));
    const all = bell.reduce((sum, x) => sum + x, 0);
    const spread = bell.reduce((sum, x, i) => sum + (x / all) * logs[0][1 + i], 0);
    expect(built({ patchMask: 0, softNumbers: 2 })).toEqual({
      loss: expect.closeTo(-(0.7 * spread + 0.3 * logs[1][4]), 6),
      nll: expect.closeTo(nll, 6),
    });
  });

  it('spreads nothing where no word is a number, in a vocabulary as large as the released ones', () => {
    const wordless = { ...tokenizer, size: 151_665, decode: () => 'word' };
    const graph = supervisedGraph({ ...config, text: { ...config.text, vocab: 151_936 } }, wordless, {
      patchMask: 0,
      softNumbers: 2,
    });
    const reading = { weights: weightInputs([]), prefix: {} as Prefix, score: scored(151_936) };
    expect(
      graph.build(reading, { prompts: 1, tokens: 8, grids: [], samples: 1, length: 2, suppressed: [] }).loss.shape,
    ).toEqual([]);
  });

  it('asks each image token for the share of its patches, stable for large logits', () => {
    const scores = [1, 2, 0, 150];
    const entropy = scores.map((x, i) => Math.max(x, 0) - x * fed.patchShare[i] + Math.log1p(Math.exp(-Math.abs(x))));
    const patches = (0.5 * entropy.reduce((sum, x) => sum + x, 0)) / 4;
    expect(built({ patchMask: 0.2, softNumbers: 0 })).toEqual({
      loss: expect.closeTo(nll + 0.2 * patches, 5),
      nll: expect.closeTo(nll, 6),
      patches: expect.closeTo(patches, 5),
    });
    expect(built({ patchMask: 0.2, softNumbers: 0 }, false)).toEqual({
      loss: expect.closeTo(nll, 6),
      nll: expect.closeTo(nll, 6),
    });
  });

  it('is told apart by its numbers, and brings its head along', () => {
    expect(supervisedGraph(config, tokenizer, { patchMask: 0.2, softNumbers: 3 }).name).toBe('supervised 0.2 3');
    expect(supervisedGraph(config, tokenizer, { patchMask: 0, softNumbers: 3 }).extra).toBeUndefined();
    const [weight, bias] = patchMaskHead(config);
    expect([weight.name, weight.sizes, bias.name, bias.sizes, bias.first(0)]).toEqual([
      'patch_mask.weight',
      { corner: 4, width: 2 },
      'patch_mask.bias',
      { corner: 4 },
      0,
    ]);
    const first = Array.from({ length: 8 }, (_, i) => weight.first(i));
    expect(Math.max(...first.map(Math.abs))).toBeLessThanOrEqual(0.04);
    expect(new Set(first).size).toBe(8);
  });
});

describe('supervisedInputs', () => {
  const frame = { width: 2, height: 2 };
  const row: Fitted = {
    id: 'a',
    image: { path: 'a.png' },
    task: '',
    frame,
    original: frame,
    truth: drawn('#. ..'),
    fitted: { prompt: { frame, objects: [] }, ious: [], text: 'a10!<labels>11' },
  };
  const prompt = { text: '', tokens: [], images: [{ pixels: new Float32Array(0), grid: { h: 2, w: 2 } }] };
  const answer = [...tokenizer.encode(row.fitted.text), 5];

  it('takes numbers before the labels for coordinates, and the truth for what the image shows', () => {
    const inputs = supervisedInputs(config, tokenizer, { patchMask: 1, softNumbers: 1 }, row, prompt, answer);
    expect(inputs).toEqual({
      perToken: { soft: [[1, 1, 1, 0, 0, 0]] },
      perPrompt: { patchShare: Float32Array.of(1, 0, 0, 0) },
    });
    const unlabelled = supervisedInputs(
      config,
      tokenizer,
      { patchMask: 0, softNumbers: 1 },
      { ...row, fitted: { ...row.fitted, text: 'a10' } },
      prompt,
      [0, 1, 5],
    );
    expect(unlabelled).toEqual({ perToken: { soft: [[1, 1, 1]] }, perPrompt: {} });
  });

  it('shows all candidates where there are some', () => {
    const candidates = { boxes: [], names: [], target: 0, mask: drawn('#. .#') };
    expect(
      supervisedInputs(config, tokenizer, { patchMask: 1, softNumbers: 0 }, { ...row, candidates }, prompt, answer),
    ).toEqual({ perToken: {}, perPrompt: { patchShare: Float32Array.of(1, 0, 0, 1) } });
  });

  it('adds nothing that no weight asks for', () => {
    expect(supervisedInputs(config, tokenizer, { patchMask: 0, softNumbers: 0 }, row, prompt, answer)).toEqual({
      perToken: {},
      perPrompt: {},
    });
    for (const images of [[], [...prompt.images, ...prompt.images]])
      expect(
        supervisedInputs(config, tokenizer, { patchMask: 1, softNumbers: 0 }, row, { ...prompt, images }, answer),
      ).toEqual({ perToken: {}, perPrompt: {} });
  });
});
