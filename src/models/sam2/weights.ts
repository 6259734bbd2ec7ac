import { readdir, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';

import { ModelError } from '../../errors.js';
import { folderTensors, type Dtype, type Tensors } from '../../io/safetensors.js';
import type { Precision, Tensor } from '../../tensor/graph.js';
import { cast, constant, stored, type Sizes } from '../../tensor/ops.js';
import type { Sam2Config } from './config.js';
import { unusedTensors } from './stored.js';

/** A checkpoint's frozen weights. */
export interface Weights {
  /**
   * A weight as a graph input, with the given names and sizes.
   *
   * @param first elements skipped: stacked weights are taken apart.
   */
  tensor(name: string, sizes: Sizes, first?: number): Tensor;
  /** Values of one of the few weights that are used while tracing; see `isComputedWith`. */
  values(name: string): Float32Array;
  /** Stored tensors that nothing uses, a video model's memory aside. */
  readonly unused: readonly string[];
}

/** Names and shapes of every weight in the files. */
export function weightShapes(config: Sam2Config): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  const linear = (name: string, out: number, into: number, ...kernel: readonly number[]): void =>
    void shapes.set(`${name}.weight`, [out, into, ...kernel]).set(`${name}.bias`, [out]);
  const norm = (name: string, width: number): void =>
    void shapes.set(`${name}.weight`, [width]).set(`${name}.bias`, [width]);
  hiera(config, shapes, linear, norm);
  const { width } = config;
  for (const [i, stage] of config.stages.toReversed().entries())
    linear(`vision_encoder.neck.convs.${i}`, width, stage.width, 1, 1);
  shapes.set('no_memory_embedding', [1, 1, width]).set('shared_image_embedding.positional_embedding', [2, width / 2]);
  promptEncoder(config, shapes, linear, norm);
  maskDecoder(config, shapes, linear, norm);
  return shapes;
}

type Declare = (name: string, out: number, into: number, ...kernel: readonly number[]) => void;
type Norm = (name: string, width: number) => void;

function hiera(
  { stages, background, mlpRatio }: Sam2Config,
  shapes: Map<string, readonly number[]>,
  linear: Declare,
  norm: Norm,
): void {
  const at = 'vision_encoder.backbone';
  const [first] = stages as [Sam2Config['stages'][number]];
  shapes
    .set(`${at}.pos_embed`, [1, first.width, ...background])
    .set(`${at}.pos_embed_window`, [1, first.width, first.window, first.window]);
  linear(`${at}.patch_embed.projection`, first.width, 3, 7, 7);
  let into = first.width;
  let block = 0;
  for (const { width, blocks } of stages) {
    for (let i = 0; i < blocks; i++, block++) {
      const name = `${at}.blocks.${block}`;
      norm(`${name}.layer_norm1`, into);
      linear(`${name}.attn.qkv`, 3 * width, into);
      linear(`${name}.attn.proj`, width, width);
      norm(`${name}.layer_norm2`, width);
      linear(`${name}.mlp.proj_in`, Math.trunc(width * mlpRatio), width);
      linear(`${name}.mlp.proj_out`, width, Math.trunc(width * mlpRatio));
      if (into !== width) linear(`${name}.proj`, width, into);
      into = width;
    }
  }
}

function promptEncoder(
  { width, maskPrompt: { channels } }: Sam2Config,
  shapes: Map<string, readonly number[]>,
  linear: Declare,
  norm: Norm,
): void {
  const prompt = 'prompt_encoder';
  shapes
    .set(`${prompt}.shared_embedding.positional_embedding`, [2, width / 2])
    .set(`${prompt}.point_embed.weight`, [4, width]);
  for (const name of ['not_a_point_embed', 'no_mask_embed']) shapes.set(`${prompt}.${name}.weight`, [1, width]);
  linear(`${prompt}.mask_embed.conv1`, channels / 4, 1, 2, 2);
  norm(`${prompt}.mask_embed.layer_norm1`, channels / 4);
  linear(`${prompt}.mask_embed.conv2`, channels, channels / 4, 2, 2);
  norm(`${prompt}.mask_embed.layer_norm2`, channels);
  linear(`${prompt}.mask_embed.conv3`, width, channels, 1, 1);
}

function maskDecoder(
  { width, decoder }: Sam2Config,
  shapes: Map<string, readonly number[]>,
  linear: Declare,
  norm: Norm,
): void {
  shapes
    .set('mask_decoder.iou_token.weight', [1, width])
    .set('mask_decoder.obj_score_token.weight', [1, width])
    .set('mask_decoder.mask_tokens.weight', [4, width]);
  const attention = (name: string, inner: number): void => {
    for (const part of ['q', 'k', 'v']) linear(`${name}.${part}_proj`, inner, width);
    linear(`${name}.o_proj`, width, inner);
  };
  const narrow = width / decoder.downsample;
  for (const i of [0, 1]) {
    const at = `mask_decoder.transformer.layers.${i}`;
    attention(`${at}.self_attn`, width);
    for (const name of ['cross_attn_token_to_image', 'cross_attn_image_to_token']) attention(`${at}.${name}`, narrow);
    linear(`${at}.mlp.proj_in`, decoder.mlp, width);
    linear(`${at}.mlp.proj_out`, width, decoder.mlp);
    for (const n of [1, 2, 3, 4]) norm(`${at}.layer_norm${n}`, width);
  }
  attention('mask_decoder.transformer.final_attn_token_to_image', narrow);
  norm('mask_decoder.transformer.layer_norm_final_attn', width);
  for (const [name, from, to] of [
    ['upscale_conv1', width, width / 4],
    ['upscale_conv2', width / 4, width / 8],
  ] as const) {
    shapes.set(`mask_decoder.${name}.weight`, [from, to, 2, 2]).set(`mask_decoder.${name}.bias`, [to]);
  }
  norm('mask_decoder.upscale_layer_norm', width / 4);
  linear('mask_decoder.conv_s0', width / 8, width, 1, 1);
  linear('mask_decoder.conv_s1', width / 4, width, 1, 1);
  const head = (name: string, inner: number, out: number, depth: number): void => {
    linear(`mask_decoder.${name}.proj_in`, inner, width);
    for (let i = 0; i < depth - 2; i++) linear(`mask_decoder.${name}.layers.${i}`, inner, inner);
    linear(`mask_decoder.${name}.proj_out`, out, inner);
  };
  for (const i of [0, 1, 2, 3]) head(`output_hypernetworks_mlps.${i}`, width, width / 8, 3);
  head('iou_prediction_head', decoder.iouHidden, 4, decoder.iouDepth);
  head('pred_obj_score_head', width, 1, 3);
}

/** Weights from which new ones are computed, or that are used outside the graphs. */
function isComputedWith(name: string): boolean {
  return /pos_embed|positional_embedding|no_memory|neck\.|point|no_mask|_token|conv_s|upscale_conv/.test(name);
}

/** Types in files that graphs can use, and bytes of an element. */
const STORED: Partial<Record<Dtype, { readonly dtype: Precision; readonly width: number }>> = {
  F32: { dtype: 'float32', width: 4 },
  BF16: { dtype: 'bfloat16', width: 2 },
  F16: { dtype: 'float16', width: 2 },
};

/**
 * Opens a checkpoint's weights: float32 ones are memory-mapped, halves only if the engine holds halves; others are read
 * and upcast. Tensors of other parts of the model, such as a video checkpoint's memory, are ignored.
 *
 * @param halves whether the engine holds halves, see `EngineTraits`.
 * @throws {ModelError} naming file, tensor, expected and got, before any weight is read.
 */
export async function openWeights(dir: string, config: Sam2Config, halves = false): Promise<Weights> {
  const tensors = await findWeights(dir, config);
  const shapes = weightShapes(config);
  const files = await realFiles(tensors, [...shapes.keys()]);
  const values = new Map<string, Float32Array>();
  for (const name of shapes.keys()) {
    const kept = halves ? tensors.info(name).dtype in STORED : tensors.info(name).dtype === 'F32';
    if (files === undefined || !kept || isComputedWith(name)) values.set(name, await tensors.readFinite(name));
    else await tensors.checkFinite(name);
  }
  samePositions(dir, values);
  return {
    unused: unusedTensors(tensors, shapes),
    tensor(name, sizes, first = 0) {
      const length = Object.values(sizes).reduce((product, size) => product * size, 1);
      const known = values.get(name);
      if (known) return constant(known.subarray(first, first + length), sizes);
      const { file, offset, dtype: kind } = tensors.info(name);
      const { dtype, width } = STORED[kind] as { readonly dtype: Precision; readonly width: number };
      return cast(
        stored({ file: files?.get(file) as string, offset: offset + width * first, dtype }, sizes),
        'float32',
      );
    },
    values(name) {
      const known = values.get(name);
      if (!known) throw new Error(`${name}: expected a weight that is computed with; got one that stays in its file`);
      return known;
    },
  };
}

/**
 * The tensors of a checkpoint, from the headers of its files.
 *
 * @throws {ModelError} naming file, tensor, expected and got.
 */
export async function findWeights(dir: string, config: Sam2Config): Promise<Tensors> {
  const tensors = await tensorsOf(dir);
  for (const [name, shape] of weightShapes(config)) agrees(dir, tensors, name, shape);
  return tensors;
}

async function tensorsOf(dir: string): Promise<Tensors> {
  try {
    return await folderTensors(dir);
  } catch (error) {
    const files = await readdir(dir).catch(() => []);
    const pickle = files.find((file) => /\.(pt|pth|bin|ckpt)$/.test(file));
    if (pickle === undefined || files.some((file) => file.includes('.safetensors'))) throw error;
    const wayOut =
      "use the same model as transformers stores it (facebook/sam2.1-hiera-…), or convert it with transformers' convert_sam2_to_hf.py";
    throw new ModelError(
      `${dir}  checkpoint: expected model.safetensors with config.json; got ${pickle}, a pickle that would have to run code to be read; way out: ${wayOut}`,
    );
  }
}

function agrees(dir: string, tensors: Tensors, name: string, shape: readonly number[]): void {
  if (!tensors.has(name))
    throw new ModelError(`${dir}  ${name}: expected a tensor of that name; got none among ${tensors.names.length}`);
  const { file, shape: got } = tensors.info(name);
  if (got.join() !== shape.join())
    throw new ModelError(`${file}  ${name}: expected shape [${shape.join(', ')}]; got [${got.join(', ')}]`);
}

/** Folder of the files, links followed; undefined if there are several. */
async function realFiles(tensors: Tensors, names: readonly string[]): Promise<Map<string, string> | undefined> {
  const files = new Map<string, string>();
  for (const file of new Set(names.map((name) => tensors.info(name).file))) files.set(file, await realpath(file));
  return new Set([...files.values()].map((file) => dirname(file))).size === 1 ? files : undefined;
}

/** The matrix of positions is stored twice, for prompts and for the image; both must be equal. */
function samePositions(dir: string, values: ReadonlyMap<string, Float32Array>): void {
  const [prompts, image] = [
    'prompt_encoder.shared_embedding.positional_embedding',
    'shared_image_embedding.positional_embedding',
  ] as const;
  const [a, b] = [values.get(prompts), values.get(image)] as [Float32Array, Float32Array];
  const apart = a.findIndex((value, i) => value !== b[i]);
  if (apart >= 0)
    throw new ModelError(
      `${dir}  ${prompts}: expected the values of ${image}; got ${a[apart]} for ${b[apart]} at ${apart}`,
    );
}
