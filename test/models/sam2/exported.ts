import { mkdirSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';

import protobuf from 'protobufjs';

import { readSam2Config, type Sam2Config } from '../../../src/models/sam2/config.js';
import { decoder } from '../../../src/models/sam2/decoder.js';
import { encoder, type Features } from '../../../src/models/sam2/encoder.js';
import { openWeights, type Weights } from '../../../src/models/sam2/weights.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import { graphOf } from '../../../src/tensor/engine.js';
import { emit } from '../../../src/tensor/onnx/emit.js';
import {
  ELEMENT,
  encodeAttributes,
  encodeModel,
  type Attributes,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from '../../../src/tensor/onnx/schema.js';
import { concat, constant, input, lift, merge, order, slice, split } from '../../../src/tensor/ops.js';

/** How many points and boxes an object has; an export's graphs would take any number. */
export interface Shape {
  readonly points: number;
  readonly boxes: 0 | 1;
}

/**
 * Writes what an export of a checkpoint to ONNX is made of: `onnx/vision_encoder.onnx`,
 * `onnx/prompt_encoder_mask_decoder.onnx` and the image processor.
 *
 * The graphs are our own, but for what stands in the names, shapes and order of the published exports.
 */
export async function writeExport(checkpoint: string, folder: string, shape: Shape): Promise<void> {
  const config = await readSam2Config(checkpoint);
  const weights = await openWeights(checkpoint, config);
  mkdirSync(join(folder, 'onnx'), { recursive: true });
  for (const file of ['config.json', 'preprocessor_config.json']) await cp(join(checkpoint, file), join(folder, file));
  await cp(join(checkpoint, WEIGHTS), join(folder, 'onnx', DATA));
  for (const [name, bytes] of [
    ['vision_encoder', visionEncoder(weights, config)],
    ['prompt_encoder_mask_decoder', promptEncoderMaskDecoder(weights, config, shape)],
  ] as const) {
    writeFileSync(
      join(folder, 'onnx', `${name}.onnx`),
      Buffer.from(bytes).toString('latin1').replaceAll(WEIGHTS, DATA),
      'latin1',
    );
  }
}

/**
 * The file of the values that a graph only points at; one name is as long as the other, and so the graph's bytes stay
 * in their places.
 */
const WEIGHTS = 'model.safetensors';
const DATA = 'weights.onnx_data';

function visionEncoder(weights: Weights, config: Sam2Config): Uint8Array {
  const { size } = config;
  const pixels = merge(
    input('pixel_values', 'float32', { batch: 1, channel: 3, row: size, column: size }),
    ['batch', 'channel'],
    'channel',
  );
  const { image, fine, finest } = encoder(weights, config, pixels);
  const graph = graphOf('vision encoder', {
    'image_embeddings.0': planes(finest, 2, size),
    'image_embeddings.1': planes(fine, 1, size),
    'image_embeddings.2': planes(image, 0, size),
  });
  return emit(graph, 'cpu').bytes;
}

const INNER = ['half', 'quarter'];

/** [pixel, half …, c] → [1, c, row, column] */
function planes(t: Tensor, halvings: number, size: number): Tensor {
  const side = size / 16;
  const last = t.shape.at(-1)!.name;
  let cells = split(t, 'pixel', { row0: side, column0: side });
  for (let i = 0; i < halvings; i++) cells = split(cells, INNER[i], { [`row${i + 1}`]: 2, [`column${i + 1}`]: 2 });
  const named = (what: string): string[] => Array.from({ length: halvings + 1 }, (_, i) => `${what}${i}`);
  return lift(
    merge(
      merge(order(cells, last, ...named('row'), ...named('column')), named('row'), 'row'),
      named('column'),
      'column',
    ),
    'batch',
  );
}

/** The other way round. */
function cells(name: string, channels: readonly [string, number], halvings: number, size: number): Tensor {
  const side = (size / 16) * 2 ** halvings;
  const parts = (what: string): Record<string, number> =>
    Object.fromEntries(Array.from({ length: halvings + 1 }, (_, i) => [`${what}${i}`, i === 0 ? size / 16 : 2]));
  const given = merge(
    input(name, 'float32', { batch: 1, [channels[0]]: channels[1], row: side, column: side }),
    ['batch', channels[0]],
    channels[0],
  );
  const apart = split(split(given, 'row', parts('row')), 'column', parts('column'));
  const levels = Array.from({ length: halvings + 1 }, (_, i) => [`row${i}`, `column${i}`]);
  return levels.reduce(
    (t, level, i) => merge(t, level, i === 0 ? 'pixel' : INNER[i - 1]),
    order(apart, ...levels.flat(), channels[0]),
  );
}

function promptEncoderMaskDecoder(weights: Weights, config: Sam2Config, { points, boxes }: Shape): Uint8Array {
  const { width, size } = config;
  const features: Features = {
    image: cells('image_embeddings.2', ['width', width], 0, size),
    fine: cells('image_embeddings.1', ['fine', width / 4], 1, size),
    finest: cells('image_embeddings.0', ['finest', width / 8], 2, size),
  };
  const places = points + 2 * boxes;
  // Our graphs know no sine: the points' features come from nodes that are put in front.
  const known = input('embedded', 'float32', { object: 1, prompt: places, width });
  const end = constant(weights.values('prompt_encoder.not_a_point_embed.weight'), { object: 1, prompt: 1, width });
  const sparse = concat([known, end], 'prompt');
  const { logits, iou, score } = decoder(
    weights,
    config,
    features,
    sparse,
    constant(new Float32Array(places + 1), { object: 1, prompt: places + 1 }),
  );
  const own = graphOf('prompt encoder, mask decoder', {
    iou_scores: lift(slice(iou, 'mask', 1, 3), 'batch'),
    pred_masks: lift(split(slice(logits, 'mask', 1, 3), 'cell', { row: size / 4, column: size / 4 }), 'batch'),
    object_score_logits: split(lift(score, 'batch'), 'object', { object: 1, one: 1 }),
  });
  return Buffer.concat([
    promptEncoder(weights, config, { points, boxes }),
    withoutInput(emit(own, 'cpu').bytes, 'embedded'),
  ]);
}

/** Nodes from points, labels and boxes to `embedded`, and the inputs that they read. */
function promptEncoder(weights: Weights, { size, width }: Sam2Config, { points, boxes }: Shape): Uint8Array {
  const node: NodeProto[] = [];
  const initializer: TensorProto[] = [];
  const op = (opType: string, inputs: readonly string[], attributes: Attributes = {}): string => {
    const output = `prompt/${node.length}`;
    node.push({
      name: output,
      opType,
      domain: '',
      input: inputs,
      output: [output],
      attribute: encodeAttributes(attributes),
    });
    return output;
  };
  const value = (data: Float32Array | BigInt64Array, ...dims: readonly number[]): string => {
    const name = `prompt/value${initializer.length}`;
    initializer.push({
      name,
      dims,
      dataType: data instanceof Float32Array ? ELEMENT.float32 : ELEMENT.int64,
      rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    });
    return name;
  };
  const matrix = weights.values('prompt_encoder.shared_embedding.positional_embedding').map((v) => 2 * Math.PI * v);
  const corners = op('Reshape', ['input_boxes', value(BigInt64Array.of(1n, 1n, BigInt(2 * boxes), 2n), 4)], {
    allowzero: 1,
  });
  const labels = op(
    'Concat',
    [
      'input_labels',
      value(
        BigInt64Array.from({ length: 2 * boxes }, (_, i) => BigInt(2 + i)),
        1,
        1,
        2 * boxes,
      ),
    ],
    { axis: 2 },
  );
  const all = op('Concat', ['input_points', corners], { axis: 2 });
  const middle = op('Mul', [op('Add', [all, value(Float32Array.of(0.5))]), value(Float32Array.of(2 / size))]);
  const angles = op('MatMul', [op('Sub', [middle, value(Float32Array.of(1))]), value(matrix, 2, width / 2)]);
  const features = op('Concat', [op('Sin', [angles]), op('Cos', [angles])], { axis: 3 });
  const told = op('Gather', [value(weights.values('prompt_encoder.point_embed.weight'), 4, width), labels], {
    axis: 0,
  });
  const sum = op('Add', [features, told]);
  node.push({
    name: 'embedded',
    opType: 'Reshape',
    domain: '',
    input: [sum, value(BigInt64Array.of(1n, BigInt(points + 2 * boxes), BigInt(width)), 3)],
    output: ['embedded'],
    attribute: [],
  });
  const inputs = [
    described('input_points', ELEMENT.float32, 1, 1, points, 2),
    described('input_labels', ELEMENT.int64, 1, 1, points),
    described('input_boxes', ELEMENT.float32, 1, boxes, 4),
  ];
  return encodeModel({ graph: { node, initializer, input: inputs } });
}

function described(name: string, elemType: number, ...sizes: readonly number[]): ValueInfoProto {
  return { name, type: { tensorType: { elemType, shape: { dim: sizes.map((dimValue) => ({ dimValue })) } } } };
}

/** A model's bytes without one of its graph's declared inputs. */
function withoutInput(model: Uint8Array, name: string): Uint8Array {
  const [GRAPH, INPUT, NAME] = [7, 11, 1];
  return fields(model, GRAPH, (graph) =>
    fields(graph, INPUT, (info) => (firstText(info, NAME) === name ? undefined : info)),
  );
}

/** Protobuf fields of one number changed, or left out; all others as they are. */
function fields(
  message: Uint8Array,
  number: number,
  change: (field: Uint8Array) => Uint8Array | undefined,
): Uint8Array {
  const reader = protobuf.Reader.create(message);
  const parts: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const tag = reader.uint32();
    if (tag >>> 3 !== number) {
      reader.skipType(tag & 7);
      parts.push(message.subarray(start, reader.pos));
      continue;
    }
    const changed = change(reader.bytes());
    if (changed) parts.push(protobuf.Writer.create().uint32(tag).bytes(changed).finish());
  }
  return Buffer.concat(parts);
}

function firstText(message: Uint8Array, number: number): string | undefined {
  const reader = protobuf.Reader.create(message);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === number) return reader.string();
    reader.skipType(tag & 7);
  }
  return undefined;
}
