import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';

import {
  FLOATS,
  folderTensors,
  openSafetensors,
  writeSafetensors,
  type RawTensor,
  type StoredTensor,
  type Tensors,
} from '../../io/safetensors.js';
import { graphOf, type Engine } from '../../tensor/engine.js';
import { openEngine } from '../../tensor/engines.js';
import { readAdapter, spellings } from './adapter.js';
import { isBesideWeights } from './checkpoint-files.js';
import type { Size } from '../../records.js';
import { carryFrame } from '../frame.js';
import { replaceFolder } from './checkpoint.js';
import type { VlmConfig } from './architecture.js';
import { mergeLinear } from './linear.js';
import type { Adapter } from './linear.js';
import { policyWeights, sideName } from './lora.js';
import { findWeights } from './weight-files.js';

const INDEX = 'model.safetensors.index.json';

/** Copies a checkpoint's folder: what it is made of, without what only resuming reads; appears whole or not at all. */
export async function copyCheckpoint(from: string, dir: string): Promise<void> {
  const weights = await weightFilesIn(from);
  const tensors = await folderTensors(from);
  for (const name of tensors.names) if (isFloat(tensors, name)) await tensors.checkFinite(name);
  await replaceFolder(
    from,
    dir,
    (file) => isBesideWeights(file) || weights.has(file),
    async () => {},
  );
}

const isFloat = (tensors: Tensors, name: string): boolean => FLOATS.some((dtype) => dtype === tensors.info(name).dtype);

/** Names of the files that hold a checkpoint's weights, with their index. */
async function weightFilesIn(dir: string): Promise<ReadonlySet<string>> {
  const tensors = await folderTensors(dir);
  const files = new Set(tensors.names.map((name) => basename(tensors.info(name).file)));
  return files.has('model.safetensors') && files.size === 1 ? files : files.add(INDEX);
}

/**
 * Writes a checkpoint with an adapter merged: W + scale · B · A, computed in float32. Files, names and number formats
 * are the base's, and so are all other tensors, byte for byte. One tensor is held at a time. The folder appears whole
 * or not at all.
 *
 * @param config of the base.
 * @param folder of the adapter, in PEFT's layout.
 * @param frame that the adapter was trained in, which the merged checkpoint carries.
 * @returns how many matrices changed.
 * @throws {ModelError} before anything is written, if the adapter doesn't fit the base.
 */
export async function mergeAdapter(
  base: string,
  config: VlmConfig,
  folder: string,
  dir: string,
  frame?: Size,
): Promise<number> {
  const [{ tensors, names }, { adapter }] = await Promise.all([findWeights(base, config), readAdapter(folder, config)]);
  const changed = new Map(
    [...names].filter(([name]) => adapter.matrices.includes(name)).map(([name, spelled]) => [spelled, name]),
  );
  const sides = await openSafetensors(join(folder, 'adapter_model.safetensors'));
  const files = new Set(tensors.names.map((name) => tensors.info(name).file));
  const stored = await weightFilesIn(base);
  const copied = (file: string): boolean => isBesideWeights(file) || (file === INDEX && stored.has(INDEX));

  const engine = openEngine({ workers: 1, threads: availableParallelism() });
  try {
    const whole = async (name: string): Promise<Uint8Array> => {
      if (isFloat(tensors, name)) await tensors.checkFinite(name);
      return tensors.readBytes(name);
    };
    const fold = folding(engine, config, adapter, sides);
    const late = (name: string): StoredTensor | RawTensor => {
      const { dtype, shape } = tensors.info(name);
      const matrix = changed.get(name);
      if (matrix === undefined) return { name, dtype, shape, bytes: () => whole(name) };
      return {
        name,
        dtype: dtype as (typeof FLOATS)[number],
        shape,
        data: async () => fold(matrix, await tensors.readFinite(name)),
      };
    };
    await replaceFolder(base, dir, copied, async (fresh) => {
      for (const file of files)
        await writeSafetensors(
          join(fresh, basename(file)),
          tensors.names.filter((name) => tensors.info(name).file === file).map(late),
          tensors.metadata,
        );
      if (frame) await carryFrame(fresh, frame);
    });
  } finally {
    await engine.release();
  }
  return changed.size;
}

/** Computes merged matrices. */
function folding(
  engine: Engine,
  config: VlmConfig,
  adapter: Adapter,
  sides: Tensors,
): (matrix: string, values: Float32Array) => Promise<Float32Array> {
  const { weights } = policyWeights(config, adapter);
  const spelled = spellings(config, adapter, sides);
  const side = (name: string): Promise<Float32Array> => sides.readFinite(spelled.get(name) as string);
  return async (matrix, values) => {
    const graph = graphOf(`merged ${matrix}`, { merged: mergeLinear(weights.linear(matrix.replace(/\.weight$/, ''))) });
    const [a, b] = [sideName(config, matrix, 'A'), sideName(config, matrix, 'B')];
    await engine.open(graph);
    const { outputs } = await engine.run(graph, { [matrix]: values, [a]: await side(a), [b]: await side(b) }, []);
    await engine.close(graph);
    return outputs['merged'] as Float32Array;
  };
}
