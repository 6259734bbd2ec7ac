import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { ModelError } from '../../errors.js';
import {
  folderTensors,
  openSafetensors,
  writeSafetensors,
  type StoredTensor,
  type Tensors,
} from '../../io/safetensors.js';
import { adamState, type AdamState } from '../../tensor/adamw.js';
import type { Layout } from '../../tensor/layout.js';
import type { VlmConfig } from './architecture.js';
import { sharedValues } from './weight-files.js';

/** Trained weights, flat. */
interface Trained {
  readonly layout: Layout;
  readonly values: Float32Array;
}

/** Training state beside the weights. */
export interface TrainingState {
  /** Optimizer steps taken. */
  readonly version: number;
  readonly adam?: AdamState | undefined;
  /** The reference, if it is no longer the checkpoint that the policy was opened with. */
  readonly reference?: Float32Array | undefined;
  /** Running average of the weights after each step; saved like them, in the folder `AVERAGE`. */
  readonly average?: Float32Array | undefined;
}

/** Folder of the running average in a checkpoint; a checkpoint itself. */
export const AVERAGE = 'ema';

const FILE = 'optimizer.safetensors';
const ADAPTER = 'adapter_model.safetensors';

/**
 * Writes AdamW's moments beside saved weights, as `first.NAME` and `second.NAME`, and as `reference.NAME` the
 * reference; and in float32 what the saved weights and average hold less exactly, or not at all, as `weights.NAME` and
 * `ema.NAME`.
 */
export async function saveTraining(
  dir: string,
  config: VlmConfig,
  { layout, values }: Trained,
  { version, adam = adamState(layout), reference, average }: TrainingState,
): Promise<void> {
  const saved = await savedTensors(dir);
  const averaged = average && (await savedTensors(join(dir, AVERAGE)));
  const tensors = layout.entries.flatMap(({ name, sizes: shape, offset, length }): StoredTensor[] => {
    const part = (kind: string, flat?: Float32Array): StoredTensor[] =>
      flat ? [{ name: `${kind}.${name}`, dtype: 'F32', shape, data: flat.subarray(offset, offset + length) }] : [];
    const inexact = (kind: string, held: Tensors | undefined, flat?: Float32Array): StoredTensor[] =>
      held && exactName(config, held, name) !== undefined ? [] : part(kind, flat);
    return [
      ...inexact('weights', saved, values),
      ...part('first', adam.first),
      ...part('second', adam.second),
      ...part('reference', reference),
      ...inexact(AVERAGE, averaged, average),
    ];
  });
  await writeSafetensors(join(dir, FILE), tensors, { version: String(version), step: String(adam.step) });
}

/**
 * Reads the result of `saveTraining` and the weights beside it, into `values`.
 *
 * @throws {ModelError} if a tensor is missing or of another length.
 */
export async function restoreTraining(
  dir: string,
  config: VlmConfig,
  { layout, values }: Trained,
): Promise<TrainingState> {
  const file = join(dir, FILE);
  const [saved, own, averaged] = await Promise.all([
    savedTensors(dir),
    openSafetensors(file),
    existsSync(join(dir, AVERAGE)) ? savedTensors(join(dir, AVERAGE)) : undefined,
  ]);
  const adam = adamState(layout);
  const counted = (key: string): number => {
    const count = Number(own.metadata[key]);
    if (!Number.isSafeInteger(count))
      throw new ModelError(`${file}  ${key}: expected a count of steps; got ${own.metadata[key] ?? 'none'}`);
    return count;
  };
  const reference = layout.entries.some(({ name }) => own.has(`reference.${name}`))
    ? sharedValues(layout, [])
    : undefined;
  const average = averaged && new Float32Array(layout.length);
  for (const { name, offset, length } of layout.entries) {
    const take = async (from: Tensors, stored: string, to: Float32Array): Promise<void> => {
      const read = await from.readFinite(stored);
      if (read.length !== length)
        throw new ModelError(`${dir}  ${stored}: expected ${length} values; got ${read.length}`);
      to.set(read, offset);
    };
    const takeExact = async (from: Tensors, kind: string, to: Float32Array): Promise<void> => {
      const exact = exactName(config, from, name);
      await (exact === undefined ? take(own, `${kind}.${name}`, to) : take(from, exact, to));
    };
    await takeExact(saved, 'weights', values);
    await take(own, `first.${name}`, adam.first);
    await take(own, `second.${name}`, adam.second);
    if (reference) await take(own, `reference.${name}`, reference);
    if (average) await takeExact(averaged, AVERAGE, average);
  }
  adam.step = counted('step');
  return { version: counted('version'), adam, ...(reference && { reference }), ...(average && { average }) };
}

function savedTensors(dir: string): Promise<Tensors> {
  const adapter = join(dir, ADAPTER);
  return existsSync(adapter) ? openSafetensors(adapter) : folderTensors(dir);
}

/** Name of a weight that was saved in float32. */
function exactName({ architecture }: VlmConfig, saved: Tensors, name: string): string | undefined {
  return [name, architecture.newerName(name)].find(
    (spelling) => saved.has(spelling) && saved.info(spelling).dtype === 'F32',
  );
}
