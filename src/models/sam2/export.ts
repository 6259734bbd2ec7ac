import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { ModelError } from '../../errors.js';
import type { DType } from '../../tensor/graph.js';
import { openFile, type Feeds, type GraphFile, type Kept, type TensorSpec } from '../../tensor/engine.js';
import { openEngine } from '../../tensor/engines.js';
import { readPixels } from './config.js';
import type { Chosen, Cores, Sam2Model } from './model.js';
import type { Click } from './prompts.js';

const ENCODER = 'vision_encoder';
const DECODER = 'prompt_encoder_mask_decoder';
/** Strides of the encoder's levels. */
const STRIDES = [4, 8, 16] as const;
/**
 * Values of one image for each cell of 16 px: 256, 64 in each quarter and 32 in each sixteenth, as all published sizes
 * have them.
 */
const VALUES = 256 + 4 * 64 + 16 * 32;

/** The two files of an exported model. */
export interface Sam2Export {
  /** Folder of `preprocessor_config.json`. */
  readonly dir: string;
  readonly encoder: string;
  readonly decoder: string;
}

/**
 * The graphs of an ONNX export, in a folder or its `onnx`; undefined without any.
 *
 * @throws {ModelError} if only one of the two is there, or none in float32.
 */
export function findExport(dir: string): Sam2Export | undefined {
  for (const folder of [join(dir, 'onnx'), dir]) {
    const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.onnx')) : [];
    if (!files.some((name) => name.startsWith(ENCODER) || name.startsWith(DECODER))) continue;
    const missing = [ENCODER, DECODER].map((name) => `${name}.onnx`).find((name) => !files.includes(name));
    if (missing !== undefined)
      throw new ModelError(
        `${folder}  checkpoint: expected ${ENCODER}.onnx and ${DECODER}.onnx, both in float32; got ${files.toSorted().join(', ')} without ${missing}`,
      );
    return { dir, encoder: join(folder, `${ENCODER}.onnx`), decoder: join(folder, `${DECODER}.onnx`) };
  }
  return undefined;
}

/** An image for the export's decoder, [channel, row, column] by level, on the device that computed it. */
export type Levels = Readonly<Record<string, Kept>>;

/**
 * Opens an export: its graphs give three masks, of which the one with the highest expected IoU is taken.
 *
 * @throws {ModelError} for an image processor of another kind; {Error} if the runtime can't open the files, or they are
 * of another model.
 */
export async function openExport(
  { dir, encoder: encoderFile, decoder: decoderFile }: Sam2Export,
  cores: Cores,
): Promise<Sam2Model<Levels>> {
  const pixels = await readPixels(dir);
  const { encoder, decoder } = graphs(encoderFile, decoderFile, pixels.size);
  const engine = openEngine(cores);
  try {
    await openFile(engine, encoder);
    await openFile(engine, decoder);
  } catch (error) {
    await engine.release();
    throw error;
  }
  return {
    traits: ['onnx', 'multimask'],
    pixels,
    embeddingBytes: 4 * VALUES * (pixels.size / 16) ** 2,
    embed: async (values) =>
      (
        await engine.run(encoder, { pixel_values: values }, undefined, {
          keep: encoder.outputs.map(({ name }) => name),
        })
      ).kept as Levels,
    drop: (levels) => engine.drop(Object.values(levels)),
    answer: (embedding, asked) =>
      Promise.all(
        asked.map(async (clicks) =>
          best((await engine.run(decoder, { ...embedding, ...prompted(clicks) })).outputs as unknown as Answers),
        ),
      ),
    release: () => engine.release(),
  };
}

/** Inputs and outputs of both graphs; one object at a time, so none needs padding clicks. */
function graphs(
  encoder: string,
  decoder: string,
  size: number,
): { readonly encoder: GraphFile; readonly decoder: GraphFile } {
  const value = (name: string, dtype: DType, ...sizes: readonly number[]): TensorSpec => ({ name, dtype, sizes });
  const levels = STRIDES.map((stride, i) =>
    value(`image_embeddings.${i}`, 'float32', 1, -1, size / stride, size / stride),
  );
  const prompts = [
    value('input_points', 'float32', 1, 1, -1, 2),
    value('input_labels', 'int64', 1, 1, -1),
    value('input_boxes', 'float32', 1, -1, 4),
  ];
  const answers = [
    value('iou_scores', 'float32', 1, 1, 3),
    value('pred_masks', 'float32', 1, 1, 3, size / 4, size / 4),
    value('object_score_logits', 'float32', 1, 1, 1),
  ];
  return {
    encoder: {
      name: 'sam2 vision encoder',
      file: encoder,
      inputs: [value('pixel_values', 'float32', 1, 3, size, size)],
      outputs: levels,
    },
    decoder: { name: 'sam2 mask decoder', file: decoder, inputs: [...levels, ...prompts], outputs: answers },
  };
}

/** Points, and a box where the clicks end with its corners. */
function prompted(clicks: readonly Click[]): Feeds {
  const points = clicks.filter(({ label }) => label < 2);
  const corners = clicks.filter(({ label }) => label >= 2);
  const places = (some: readonly Click[]): Float32Array => Float32Array.from(some.flatMap(({ x, y }) => [x, y]));
  return {
    input_points: places(points),
    input_labels: BigInt64Array.from(points, ({ label }) => BigInt(label)),
    input_boxes: places(corners),
  };
}

interface Answers {
  readonly iou_scores: Float32Array;
  readonly pred_masks: Float32Array;
}

function best({ iou_scores: ious, pred_masks: masks }: Answers): Chosen {
  const at = ious.reduce((most, iou, i) => (iou > ious[most] ? i : most), 0);
  const cells = masks.length / ious.length;
  return { logits: masks.subarray(at * cells, (at + 1) * cells), output: at + 1, iou: ious[at] };
}
