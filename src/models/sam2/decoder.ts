import { scoped, sizeOf, type Tensor } from '../../tensor/graph.js';
import {
  add,
  concat,
  constant,
  dims,
  dot,
  drop,
  expand,
  gelu,
  layerNorm,
  lift,
  linear,
  merge,
  order,
  relu,
  rename,
  sigmoid,
  slice,
  softmax,
  split,
  type Sizes,
} from '../../tensor/ops.js';
import type { Sam2Config } from './config.js';
import type { Features } from './encoder.js';
import { gridPositions } from './position.js';
import type { Weights } from './weights.js';

/** Four masks for each object: the single one, then three of different meanings. */
export interface Answers {
  /** [object, mask 4, cell]: logits, S/4 by S/4 row by row. */
  readonly logits: Tensor;
  /** [object, mask 4]: predicted IoU with the ground truth, in [0, 1]. */
  readonly iou: Tensor;
  /** [object]: logit of an object being present. */
  readonly score: Tensor;
}

/** Tokens before the prompt's: object presence, mask quality, masks. */
const OWN_TOKENS = 6;
/** The transformer's own; its configuration has no key for it. */
const EPSILON = 1e-5;

/**
 * The mask decoder.
 *
 * @param sparse [object, prompt, width]: embedded points and corners.
 * @param hidden [object, prompt]: added to the scores of those tokens; a large negative number takes one out.
 * @param dense [object, pixel, width]: an embedded mask; default: the embedding of no mask.
 * @see SAM 2, arXiv:2408.00714, section 4; the two-way transformer is that of SAM, arXiv:2304.02643, appendix A.
 */
export function decoder(
  weights: Weights,
  config: Sam2Config,
  features: Features,
  sparse: Tensor,
  hidden: Tensor,
  dense?: Tensor,
): Answers {
  const { width, size } = config;
  const objects = sizeOf(sparse, 'object') as number;
  const at = (name: string): Tensor =>
    weights.tensor(`mask_decoder.${name}.weight`, { token: name === 'mask_tokens' ? 4 : 1, width });
  const own = concat([at('obj_score_token'), at('iou_token'), at('mask_tokens')], 'token');
  const prompt = concat(
    [expand(own, dims({ object: objects, token: OWN_TOKENS, width })), rename(sparse, { prompt: 'token' })],
    'token',
  );
  const seen = concat(
    [
      constant(new Float32Array(objects * OWN_TOKENS), { object: objects, key: OWN_TOKENS }),
      rename(hidden, { prompt: 'key' }),
    ],
    'key',
  );
  const side = size / 16;
  const position = constant(gridPositions(weights.values('shared_image_embedding.positional_embedding'), side), {
    pixel: side * side,
    width,
  });

  let tokens = prompt;
  let image = add(features.image, dense ?? weights.tensor('prompt_encoder.no_mask_embed.weight', { width }));
  for (const i of [0, 1])
    [tokens, image] = scoped(`transformer.layers.${i}`, () =>
      twoWay(weights, config, i, { tokens, image, prompt, position, seen }),
    );
  const last = toImage(
    weights,
    config,
    'transformer.final_attn_token_to_image',
    add(tokens, prompt),
    add(image, position),
    image,
  );
  tokens = norm(weights, 'transformer.layer_norm_final_attn', add(tokens, last), EPSILON);

  const token = (i: number): Tensor => drop(slice(tokens, 'token', i, 1), 'token');
  const hyper = [0, 1, 2, 3].map((i) =>
    lift(
      head(weights, `output_hypernetworks_mlps.${i}`, token(2 + i), { hidden: width, finest: width / 8 }, 3),
      'mask',
    ),
  );
  const logits = dot(
    order(concat(hyper, 'mask'), 'object', 'mask', 'finest'),
    upscaled(weights, config, image, features),
    'finest',
  );
  const cells = split(
    merge(split(logits, 'pixel', { row: side, column: side }), ['half', 'quarter'], 'inner'),
    'inner',
    { y: 2, x: 2, y2: 2, x2: 2 },
  );
  const iou = head(
    weights,
    'iou_prediction_head',
    token(1),
    { hidden: config.decoder.iouHidden, mask: 4 },
    config.decoder.iouDepth,
  );
  return {
    logits: merge(
      order(cells, 'object', 'mask', 'row', 'y', 'y2', 'column', 'x', 'x2'),
      ['row', 'y', 'y2', 'column', 'x', 'x2'],
      'cell',
    ),
    iou: sigmoid(iou),
    score: drop(head(weights, 'pred_obj_score_head', token(0), { hidden: width, score: 1 }, 3), 'score'),
  };
}

interface TwoWay {
  /** [object, token, width] */
  readonly tokens: Tensor;
  /** [pixel, width], the same for all objects, or [object, pixel, width]. */
  readonly image: Tensor;
  /** The tokens as they came: their positions. */
  readonly prompt: Tensor;
  readonly position: Tensor;
  /** [object, key]: added to the scores of tokens. */
  readonly seen: Tensor;
}

/** Tokens attend to each other and to the image, and the image to them. */
function twoWay(
  weights: Weights,
  config: Sam2Config,
  i: number,
  { tokens, image, prompt, position, seen }: TwoWay,
): [Tensor, Tensor] {
  const at = `transformer.layers.${i}`;
  const normed = (n: number, x: Tensor): Tensor => norm(weights, `${at}.layer_norm${n}`, x, EPSILON);
  const placed = add(tokens, prompt);
  const self = (x: Tensor): Tensor => selfAttention(weights, config, `${at}.self_attn`, x, tokens, seen);
  let t = normed(1, i === 0 ? self(tokens) : add(tokens, self(placed)));
  const there = add(image, position);
  t = normed(2, add(t, toImage(weights, config, `${at}.cross_attn_token_to_image`, add(t, prompt), there, image)));
  t = normed(
    3,
    add(
      t,
      project(
        weights,
        `${at}.mlp.proj_out`,
        relu(project(weights, `${at}.mlp.proj_in`, t, { inner: config.decoder.mlp })),
        { width: config.width },
      ),
    ),
  );
  const looked = toTokens(weights, config, `${at}.cross_attn_image_to_token`, there, add(t, prompt), t, seen);
  return [t, normed(4, add(looked, image))];
}

/** A projection's matrix by heads, for products that go around the projected image. */
function byHead(
  weights: Weights,
  { width, decoder: { heads, downsample } }: Sam2Config,
  name: string,
): { readonly matrix: Tensor; readonly bias: Tensor } {
  const hd = width / downsample / heads;
  return {
    matrix: weights.tensor(`mask_decoder.${name}.weight`, { head: heads, hd, width }),
    bias: weights.tensor(`mask_decoder.${name}.bias`, { head: heads, hd }),
  };
}

/** A few tokens projected for each head, [object, place, head, hd]. */
function tokenHeads(
  weights: Weights,
  { decoder: { heads } }: Sam2Config,
  name: string,
  x: Tensor,
  inner: number,
  place: string,
): Tensor {
  return rename(split(project(weights, name, x, { inner }), 'inner', { head: heads, hd: inner / heads }), {
    token: place,
  });
}

/** Tokens attend to each other. @param mask [object, key], added to the scores. */
function selfAttention(weights: Weights, config: Sam2Config, at: string, x: Tensor, v: Tensor, mask: Tensor): Tensor {
  const { width } = config;
  const part = (name: string, of: Tensor, place: string): Tensor =>
    tokenHeads(weights, config, `${at}.${name}_proj`, of, width, place);
  const scores = dot(part('q', x, 'token'), part('k', x, 'key'), 'hd', (width / config.decoder.heads) ** -0.5);
  const o = dot(softmax(add(scores, mask), 'key'), part('v', v, 'key'), 'key');
  return project(weights, `${at}.o_proj`, merge(order(o, 'object', 'token', 'head', 'hd'), ['head', 'hd'], 'inner'), {
    width,
  });
}

/**
 * Tokens attend to the image, which is not projected: instead, the few tokens are projected to the image's width. The
 * bias of the keys is omitted, since it shifts all scores of a softmax equally.
 *
 * @param there the image with its positions; `image` without.
 */
function toImage(weights: Weights, config: Sam2Config, at: string, q: Tensor, there: Tensor, image: Tensor): Tensor {
  const inner = config.width / config.decoder.downsample;
  const query = tokenHeads(weights, config, `${at}.q_proj`, q, inner, 'token');
  const asked = dot(query, byHead(weights, config, `${at}.k_proj`).matrix, 'hd');
  const scores = dot(asked, there, 'width', (inner / config.decoder.heads) ** -0.5);
  const seen = dot(softmax(scores, 'pixel'), image, 'pixel');
  const { matrix, bias } = byHead(weights, config, `${at}.v_proj`);
  const o = add(dot(seen, matrix, 'width'), bias);
  return project(weights, `${at}.o_proj`, merge(order(o, 'object', 'token', 'head', 'hd'), ['head', 'hd'], 'inner'), {
    width: config.width,
  });
}

/**
 * The image attends to tokens, as in `toImage` without being projected.
 *
 * @param mask [object, key], added to the scores.
 */
function toTokens(
  weights: Weights,
  config: Sam2Config,
  at: string,
  there: Tensor,
  k: Tensor,
  v: Tensor,
  mask: Tensor,
): Tensor {
  const {
    width,
    decoder: { heads, downsample },
  } = config;
  const inner = width / downsample;
  const scale = (inner / heads) ** -0.5;
  const key = tokenHeads(weights, config, `${at}.k_proj`, k, inner, 'key');
  const { matrix, bias } = byHead(weights, config, `${at}.q_proj`);
  const always = add(dot(key, bias, 'hd', scale), mask);
  const scores = add(dot(there, dot(key, matrix, 'hd'), 'width', scale), always);
  const out = weights.tensor(`mask_decoder.${at}.o_proj.weight`, { width, head: heads, hd: inner / heads });
  const told = dot(tokenHeads(weights, config, `${at}.v_proj`, v, inner, 'key'), out, 'hd');
  const shares = order(softmax(scores, 'key'), 'object', 'pixel', 'head', 'key');
  return add(dot(shares, told, ['head', 'key']), weights.tensor(`mask_decoder.${at}.o_proj.bias`, { width }));
}

/** The image at four times its sides. @returns [object, pixel, half, quarter, finest] */
function upscaled(weights: Weights, { width }: Sam2Config, image: Tensor, features: Features): Tensor {
  const first = doubling(weights, 'upscale_conv1', 'width', { half: 4, fine: width / 4 });
  const fine = add(split(linear(image, first.weight, first.bias), 'out', { half: 4, fine: width / 4 }), features.fine);
  const active = gelu(norm(weights, 'upscale_layer_norm', fine, 1e-6));
  const second = doubling(weights, 'upscale_conv2', 'fine', { quarter: 4, finest: width / 8 });
  return gelu(
    add(split(linear(active, second.weight, second.bias), 'out', { quarter: 4, finest: width / 8 }), features.finest),
  );
}

/**
 * A transposed convolution of 2 × 2 with stride 2, as a linear layer for each cell: its four cells one after the other.
 */
function doubling(
  weights: Weights,
  name: string,
  into: string,
  sizes: Sizes,
): { readonly weight: Tensor; readonly bias: Tensor } {
  const [four, out] = Object.values(sizes) as [number, number];
  const [values, bias] = [weights.values(`mask_decoder.${name}.weight`), weights.values(`mask_decoder.${name}.bias`)];
  const from = values.length / (four * out);
  const turned = Float32Array.from(values, (_, i) => {
    const [place, o, c] = [Math.floor(i / (out * from)), Math.floor(i / from) % out, i % from];
    return values[(c * out + o) * four + place];
  });
  return {
    weight: constant(turned, { out: four * out, [into]: from }),
    bias: constant(
      Float32Array.from({ length: four * out }, (_, i) => bias[i % out]),
      { out: four * out },
    ),
  };
}

/** A few layers with ReLU between them. @param sizes of the hidden layers, and of the output. */
function head(weights: Weights, name: string, x: Tensor, sizes: Sizes, depth: number): Tensor {
  const [[between, hidden], [out, size]] = Object.entries(sizes) as [[string, number], [string, number]];
  let h = relu(project(weights, `${name}.proj_in`, x, { [between]: hidden }));
  for (let i = 0; i < depth - 2; i++)
    h = rename(relu(project(weights, `${name}.layers.${i}`, h, { next: hidden })), { next: between });
  return project(weights, `${name}.proj_out`, h, { [out]: size });
}

/** A linear layer on the last dimension, which becomes the one named. */
function project(weights: Weights, name: string, x: Tensor, to: Sizes): Tensor {
  const [[out, size]] = Object.entries(to) as [[string, number]];
  const into = x.shape.at(-1) as { readonly name: string; readonly size: number };
  return linear(
    x,
    weights.tensor(`mask_decoder.${name}.weight`, { [out]: size, [into.name]: into.size }),
    weights.tensor(`mask_decoder.${name}.bias`, { [out]: size }),
  );
}

function norm(weights: Weights, name: string, x: Tensor, epsilon: number): Tensor {
  const last = x.shape.at(-1) as { readonly name: string; readonly size: number };
  const own = (part: string): Tensor => weights.tensor(`mask_decoder.${name}.${part}`, { [last.name]: last.size });
  return layerNorm(x, own('weight'), own('bias'), epsilon);
}
