/** Bytes that a SAM 2.1 needs, counted from its architecture. */
import { WIDTH, type Precision } from '../../tensor/graph.js';
import { summed, type Memory } from '../inspected.js';
import type { Sam2Config, Stage } from './config.js';
import { weightShapes } from './weights.js';

const FLOAT = 4;

/** Process, libraries, and two opened graphs; as for the policy, almost none of it is the model's. */
const RUNTIME = 150e6;

/** The runtime's first run of a graph allocates piece by piece, later ones in one block, and the pieces are kept. */
const ARENA = 2;

/** Weights of a shape. */
export function parameters(config: Sam2Config): number {
  return [...weightShapes(config).values()].reduce(
    (sum, shape) => sum + shape.reduce((product, size) => product * size, 1),
    0,
  );
}

/** Bytes of a cached embedding: the coarsest level whole, the finer ones at a quarter and an eighth of its width. */
export function embeddingBytes({ size, width }: Sam2Config): number {
  return FLOAT * (size / 16) ** 2 * (width + 4 * (width / 4) + 16 * (width / 8));
}

/** Peak of embedding images. */
export function embedMemory(config: Sam2Config): Memory {
  return summed({
    runtime: RUNTIME,
    weights: weights(config),
    'largest block': ARENA * FLOAT * Math.max(...config.stages.map((stage, s) => block(config, stage, s))),
    embedding: embeddingBytes(config),
  });
}

/** Peak of embedding images and decoding objects about them, at most 8 in one run: the memory of embedding is kept. */
export function decodeMemory(config: Sam2Config, objects: number): Memory {
  return summed({ ...embedMemory(config).parts, objects: ARENA * FLOAT * objects * object(config) });
}

/**
 * Peak on a GPU, of what is in use at once. Decoding up to 8 objects takes no more than embedding an image, the weights
 * of both being there.
 *
 * Of a cell and channel of the finest stage: values of one block, and what products take of them. A value's room is
 * kept for the next of
 * its size, so where a second block comes in that stage both have some. Counted on a stand-in, at the sizes tiny and
 * large.
 */
export function deviceMemory(config: Sam2Config, precision: Precision): Memory {
  const {
    size,
    stages: [first],
  } = config;
  const { width, blocks } = first;
  const floats = blocks > 1 ? 16.3 : precision === 'float32' ? 14.7 : 11.5;
  return summed({
    weights: WIDTH[precision] * parameters(config),
    'largest block': FLOAT * (size / 4) ** 2 * width * floats,
  });
}

/** As the runtime lays them out for products; the pages of their files can be dropped. Of one worker. */
function weights(config: Sam2Config): number {
  return FLOAT * parameters(config);
}

/**
 * Floats of one block over all cells: what comes in and its norm; queries, keys and values, in order as well; what is
 * gathered; the stream and its norm; the wide layer before and after its gate.
 */
function block({ size, mlpRatio }: Sam2Config, { width }: Stage, stage: number): number {
  return (size / 4 / 2 ** stage) ** 2 * width * (11 + 2 * mlpRatio);
}

/**
 * Floats of one object: the image as the transformer turns it, beside what it was; both finer levels before and after
 * norm and gate; four masks.
 */
function object({ size, width }: Sam2Config): number {
  return (size / 16) ** 2 * (3 * width + 3 * width + 2 * 2 * width + 4 * 16);
}
