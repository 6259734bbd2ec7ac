import { shown, UsageError } from '../../errors.js';
import { layoutOf, type Layout } from '../../tensor/layout.js';
import { freshAdapter, readAdapter, saveAdapter } from './adapter.js';
import { saveWeights, type Precision } from './checkpoint.js';
import type { VlmConfig } from './architecture.js';
import type { Adapter } from './linear.js';
import type { LoraOptions } from './lora.js';
import { findWeights, readWeights, sharedValues, type WeightFiles } from './weight-files.js';
import type { FirstValues } from './weights.js';

/** Which weights of a policy are trained. */
export interface Training {
  /**
   * None, all of the checkpoint's, those of the adapter `adapter`, or those of a new one; default: the adapter's if one
   * is named, else all.
   */
  readonly train?: 'none' | 'full' | 'adapter' | { readonly lora: LoraOptions };
  /** Folder of an adapter in PEFT's layout, on top of the checkpoint. */
  readonly adapter?: string;
  /** Key of a new adapter's initial values; 0 by default. */
  readonly seed?: number;
  /** Number format of saved checkpoints; default: that of its files. */
  readonly save?: Precision;
}

/** Tensors in one flat array on shared memory, under their set's name in runs. */
export interface ParameterSet {
  readonly name: string;
  readonly layout: Layout;
  readonly values: Float32Array;
}

/** A policy's weights: the trained ones, and the frozen base. */
export interface Parameters {
  /** Empty if nothing is trained. */
  readonly trained: ParameterSet;
  /** The frozen checkpoint; undefined if it is trained itself. */
  readonly frozen?: WeightFiles;
  readonly adapter?: Adapter;
  /** Stored tensors of the checkpoint that nothing uses. */
  readonly unused: readonly string[];
  /** Saves the trained weights, or other values for them, with the files that belong to them. */
  save(dir: string, values?: Float32Array): Promise<void>;
}

/** Set names: the checkpoint's weights, those of an adapter, and none. */
export const BASE = 'policy';
const ADAPTER = 'adapter';
const NOTHING = 'nothing';

/**
 * Reads a checkpoint's weights and its adapter's.
 *
 * @param extra weights that exist only in training; they are always trained.
 * @throws {UsageError} if `train` and `adapter` don't go together.
 * @throws {ModelError} naming file, tensor, expected and got.
 */
export async function loadParameters(
  dir: string,
  config: VlmConfig,
  { train, adapter: folder, seed = 0, save }: Training,
  extra: readonly FirstValues[] = [],
): Promise<Parameters> {
  const fault = trainingFault(train, folder);
  if (fault !== undefined) throw new UsageError(`${dir}  train: ${fault}`);
  const files = await findWeights(dir, config);
  const { unused } = files;
  if (train === 'none')
    return {
      trained: setOf(NOTHING, []),
      frozen: files,
      unused,
      save: (to) => saveWeights(files, to, undefined, save),
    };
  const fresh = typeof train === 'object' ? freshAdapter(dir, config, train.lora, seed) : undefined;
  const peft = folder === undefined ? fresh : await readAdapter(folder, config);
  if (!peft) {
    const store = await readWeights(files, extra);
    return {
      trained: { name: BASE, ...store },
      unused,
      save: (to, values = store.values) => saveWeights(files, to, { ...store, values }, save),
    };
  }
  const trained = setOf(ADAPTER, [...peft.shapes, ...extra]);
  return {
    trained,
    frozen: files,
    adapter: peft.adapter,
    unused,
    save: (to, values = trained.values) => saveAdapter(dir, to, peft, trained.layout, values),
  };
}

function setOf(name: string, known: readonly FirstValues[]): ParameterSet {
  const layout = layoutOf(known.map(({ name: label, sizes }) => ({ name: label, sizes: Object.values(sizes) })));
  return { name, layout, values: sharedValues(layout, known) };
}

/** The fault in a choice of trained weights, or undefined. */
export function trainingFault(train: Training['train'], adapter: string | undefined): string | undefined {
  if (adapter !== undefined && train !== undefined && train !== 'adapter')
    return `expected "adapter" where an adapter is opened, for that is what learns; got ${shown(train)}`;
  if (adapter === undefined && train === 'adapter')
    return 'expected adapter, the folder of the one that is meant, beside it; got "adapter" without';
  return undefined;
}
