/** The interface of a family of vision-language policies: its numbers, its layers and its names. */
import type { PromptTemplate } from '../../prompts/template.js';
import type { Image, Size } from '../../records.js';
import type { Tensor } from '../../tensor/graph.js';
import type { Memory as CountedMemory } from '../inspected.js';
import type { Coordinates } from '../policy.js';
import type { Blocks, Memory } from './attention.js';
import type { Job, Use } from './memory-use.js';
import type { Grid, Patches } from './patches.js';
import type { Weights, WeightShape } from './weights.js';

/** The numbers of a checkpoint that every family has. */
export interface VlmConfig {
  readonly architecture: Architecture;
  readonly text: TextNumbers;
  readonly vision: VisionNumbers;
  readonly tokens: TokenIds;
  /** The checkpoint's own prompt, if its configuration has `segr1.prompt`. */
  readonly prompt?: PromptTemplate;
}

/** The language model. */
export interface TextNumbers {
  readonly vocab: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Of the norms. */
  readonly eps: number;
  /** Positions that the model was made for; unbounded if its configuration does not say. */
  readonly positions: number;
  /** The output head is the embedding table. */
  readonly tied: boolean;
}

/** The vision tower. */
export interface VisionNumbers {
  readonly depth: number;
  readonly hidden: number;
  readonly heads: number;
  /** Side of a patch, in pixels. */
  readonly patch: number;
  /** Patches on a side of one merged token. */
  readonly merge: number;
  readonly temporalPatch: number;
  /** Side of an attention window, in pixels. */
  readonly window: number;
  /** Blocks that attend to the whole image; the others see a window. */
  readonly fullAttention: readonly number[];
}

/** Ids with a meaning of their own. */
export interface TokenIds {
  /** Stands for one merged token of an image. */
  readonly image: number;
  /** All vision ids: a completion never has them. */
  readonly reserved: readonly number[];
  /** Any of these ends a completion. */
  readonly eos: readonly number[];
  readonly pad: number;
}

/** Half of a rotary table, [positions, headDim / 2]; the full one is the half beside itself. */
export interface RotaryTable {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/** Half tables of the tokens' positions in a graph, [… , token, half]. */
export interface Rotary {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** How layers are computed. */
export interface Computing {
  /**
   * Gradient checkpointing: whether the backward pass computes each layer again instead of keeping its values; false by
   * default.
   */
  readonly gradientCheckpointing?: boolean | undefined;
  /** How scores are cut. */
  readonly blocks?: Blocks | undefined;
}

/** A decoder layer's output for its tokens, and their own keys and values. */
export interface LayerOutput extends Memory {
  readonly hidden: Tensor;
}

/** Names of a family's modules. */
export interface ModuleNames {
  /** Embedding table of the tokens. */
  readonly embedding: string;
  /** Norm before the output head. */
  readonly norm: string;
  readonly head: string;
  /** Embedding of the patches, a convolution. */
  readonly patches: string;
  /** Prefix of the names of decoder layers, before their number. */
  readonly layers: string;
  /** Prefix of the names of the vision tower's modules. */
  readonly vision: string;
  /** Prefix of the names of its blocks, before their number. */
  readonly blocks: string;
}

/** Floats that layers keep for the backward pass, to count memory. */
export interface LayerFloats {
  /** Of one token in one decoder layer, without scores. */
  readonly token: number;
  /** Of one patch in one block of the vision tower, without scores. */
  readonly patch: number;
  /** Of the matrices of one decoder layer that a token-by-token loop joins. */
  readonly joined: readonly number[];
}

/** A family of policies. Its functions take the configuration that its own `readConfig` gave. */
export interface Architecture<Config extends VlmConfig = VlmConfig> {
  /** Values of `model_type` in `config.json`. */
  readonly modelTypes: readonly string[];
  /** Units in which the family writes coordinates. */
  readonly coordinates: Coordinates;
  readonly modules: ModuleNames;

  /**
   * Reads the JSON files of a checkpoint folder.
   *
   * @throws {ModelError} naming file, key, expected and got.
   */
  readConfig(dir: string): Promise<Config>;
  /** Every weight of a checkpoint, in the order of the computation. */
  weightShapes(config: Config): WeightShape[];
  /** Name of a weight or module in newer files and PEFT; the same name if it has not changed. */
  newerName(name: string): string;
  /** Size to which an image is resized. @throws {DataError} for one that the family does not take. */
  resized(size: Size, config: Config): Size;
  /** Resizes, normalises and cuts an image. @throws {DataError} as `resized`. */
  patches(image: Image, config: Config): Patches;
  /** Positions that a prompt takes. @param tokens how many, image placeholders expanded. */
  positions(tokens: number, grids: readonly Grid[], config: Config): number;
  /**
   * Rotary tables of a prompt's tokens, and of the `next` tokens after it.
   *
   * @param tokens [T], image placeholders expanded, with `padding` at the left.
   * @param grids of the prompt's images, in order.
   * @throws {ModelError} if placeholders and grids don't agree.
   */
  rotary(
    tokens: ArrayLike<number>,
    grids: readonly Grid[],
    config: Config,
    padding: number,
    next: number,
  ): { readonly prompt: RotaryTable; readonly next: RotaryTable };
  /**
   * The vision tower on images of one grid.
   *
   * @param pixels [image, patch, pixel], patches as `patchPlaces` orders them.
   * @returns [image, visual, width]: one feature for each merged token, in raster order.
   */
  vision(weights: Weights, config: Config, pixels: Tensor, grid: Grid, how?: Computing): Tensor;
  /**
   * Decoder layer `index`.
   *
   * @param x [prompt, (sample,) (token,) width]
   * @param attend attention of queries [prompt, kv, (sample,) rep, (token,) hd], given the tokens' own keys and values.
   */
  decoderLayer(
    weights: Weights,
    config: Config,
    index: number,
    x: Tensor,
    rotary: Rotary,
    attend: (queries: Tensor, own: Memory) => Tensor,
  ): LayerOutput;
  layerFloats(config: Config): LayerFloats;
  /** Peak bytes in use on a GPU, if the family counts them. */
  deviceMemory?(config: Config, job: Job, use: Use): CountedMemory;
}
