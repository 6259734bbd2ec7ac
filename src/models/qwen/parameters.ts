import { shown, UsageError } from '../../errors.js';
import { layoutOf, type Layout } from '../../tensor/session.js';
import { freshAdapter, readAdapter, saveAdapter } from './adapter.js';
import { loadWeights, saveWeights, sharedValues } from './checkpoint.js';
import type { QwenConfig } from './config.js';
import type { Adapter, LoraOptions } from './lora.js';
import type { FirstValues } from './weights.js';

/** Which weights of a policy learn. */
export interface Training {
  /** All of the checkpoint's, those of the adapter that `adapter` names, or those of a new one; unless told the adapter's where one is named, else all. */
  readonly train?: 'full' | 'adapter' | { readonly lora: LoraOptions };
  /** Folder of an adapter in PEFT's layout, on top of the checkpoint. */
  readonly adapter?: string;
  /** Key of a new adapter's first values; 0 unless told. */
  readonly seed?: number;
}

/** Tensors in one flat array on shared memory, under the name that runs know them by. */
export interface ParameterSet {
  readonly name: string;
  readonly layout: Layout;
  readonly values: Float32Array;
}

/** A policy's weights: what learns, and what it stands on. */
export interface Parameters {
  readonly trained: ParameterSet;
  /** The checkpoint under an adapter; none where the checkpoint itself learns. */
  readonly frozen?: ParameterSet;
  readonly adapter?: Adapter;
  /** Writes what was trained, with the files that belong to it. */
  save(dir: string): Promise<void>;
}

/** Set names: the checkpoint's weights, and those of an adapter. */
export const BASE = 'policy';
const ADAPTER = 'adapter';

/**
 * Reads a checkpoint's weights and its adapter's.
 *
 * @param extra weights that exist in training only; they learn, whatever else does.
 * @throws {UsageError} if `train` and `adapter` don't go together.
 * @throws {ModelError} naming file, tensor, expected and got.
 */
export async function loadParameters(dir: string, config: QwenConfig, { train, adapter: folder, seed = 0 }: Training, extra: readonly FirstValues[] = []): Promise<Parameters> {
  const fault = trainingFault(train, folder);
  if (fault !== undefined) throw new UsageError(`${dir}  train: ${fault}`);
  const fresh = typeof train === 'object' ? freshAdapter(dir, config, train.lora, seed) : undefined;
  const peft = folder === undefined ? fresh : await readAdapter(folder, config);
  if (!peft) {
    const store = await loadWeights(dir, config, extra);
    return { trained: { name: BASE, ...store }, save: (to) => saveWeights(dir, to, store) };
  }
  const { layout: below, values: weights } = await loadWeights(dir, config);
  const all = [...peft.shapes, ...extra];
  const layout = layoutOf(all.map(({ name, sizes }) => ({ name, sizes: Object.values(sizes) })));
  const values = sharedValues(layout, all);
  return {
    trained: { name: ADAPTER, layout, values },
    frozen: { name: BASE, layout: below, values: weights },
    adapter: peft.adapter,
    save: (to) => saveAdapter(dir, to, peft, layout, values),
  };
}

/** What is wrong with a choice of what learns, or undefined. */
export function trainingFault(train: Training['train'], adapter: string | undefined): string | undefined {
  if (adapter !== undefined && train !== undefined && train !== 'adapter') return `expected "adapter" where an adapter is opened, for that is what learns; got ${shown(train)}`;
  if (adapter === undefined && train === 'adapter') return 'expected adapter, the folder of the one that is meant, beside it; got "adapter" without';
  return undefined;
}
