import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { ModelError } from '../../errors.js';
import { folderTensors, openSafetensors, writeSafetensors, type StoredTensor, type Tensors } from '../../io/safetensors.js';
import { adamState, type AdamState } from '../../tensor/adamw.js';
import type { Layout } from '../../tensor/session.js';
import { sharedValues } from './weight-files.js';
import { newerName } from './weights.js';

/** Weights that learn, flat. */
interface Trained {
  readonly layout: Layout;
  readonly values: Float32Array;
}

const FILE = 'optimizer.safetensors';
const ADAPTER = 'adapter_model.safetensors';

/**
 * Writes AdamW's moments beside saved weights, as `first.NAME` and `second.NAME`; and as `weights.NAME` in float32 what the saved
 * ones don't hold so exactly, or not at all.
 *
 * @param reference written as `reference.NAME`, where it is no longer the checkpoint's that the policy was opened with.
 */
export async function saveTraining(dir: string, { layout, values }: Trained, version: number, adam: AdamState = adamState(layout), reference?: Float32Array): Promise<void> {
  const saved = await savedTensors(dir);
  const tensors = layout.entries.flatMap(({ name, sizes: shape, offset, length }): StoredTensor[] => {
    const part = (kind: string, data: Float32Array): StoredTensor => ({ name: `${kind}.${name}`, dtype: 'F32', shape, data });
    const [first, second] = [adam.first, adam.second].map((moments) => moments.subarray(offset, offset + length)) as [Float32Array, Float32Array];
    const own = exactName(saved, name) === undefined ? [part('weights', Float32Array.from(values.subarray(offset, offset + length)))] : [];
    const mixed = reference ? [part('reference', reference.subarray(offset, offset + length))] : [];
    return [...own, part('first', first), part('second', second), ...mixed];
  });
  await writeSafetensors(join(dir, FILE), tensors, { version: String(version), step: String(adam.step) });
}

/**
 * Reads what `saveTraining` wrote and the weights that it stands beside, into `values`.
 *
 * @throws {ModelError} if a tensor is missing or of another length.
 */
export async function restoreTraining(dir: string, { layout, values }: Trained): Promise<{ version: number; adam: AdamState; reference?: Float32Array }> {
  const file = join(dir, FILE);
  const [saved, own] = await Promise.all([savedTensors(dir), openSafetensors(file)]);
  const adam = adamState(layout);
  const counted = (key: string): number => {
    const count = Number(own.metadata[key]);
    if (!Number.isSafeInteger(count)) throw new ModelError(`${file}  ${key}: expected a count of steps; got ${own.metadata[key] ?? 'none'}`);
    return count;
  };
  const reference = layout.entries.some(({ name }) => own.has(`reference.${name}`)) ? sharedValues(layout, []) : undefined;
  for (const { name, offset, length } of layout.entries) {
    const take = async (from: Tensors, stored: string, to: Float32Array): Promise<void> => {
      const read = await from.read(stored);
      if (read.length !== length) throw new ModelError(`${dir}  ${stored}: expected ${length} values; got ${read.length}`);
      to.set(read, offset);
    };
    const exact = exactName(saved, name);
    await (exact === undefined ? take(own, `weights.${name}`, values) : take(saved, exact, values));
    await take(own, `first.${name}`, adam.first);
    await take(own, `second.${name}`, adam.second);
    if (reference) await take(own, `reference.${name}`, reference);
  }
  adam.step = counted('step');
  return { version: counted('version'), adam, ...(reference && { reference }) };
}

function savedTensors(dir: string): Promise<Tensors> {
  const adapter = join(dir, ADAPTER);
  return existsSync(adapter) ? openSafetensors(adapter) : folderTensors(dir);
}

/** What a weight is called where it was saved in float32. */
function exactName(saved: Tensors, name: string): string | undefined {
  return [name, newerName(name)].find((spelling) => saved.has(spelling) && saved.info(spelling).dtype === 'F32');
}
