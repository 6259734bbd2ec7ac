import { ModelError } from '../../errors.js';
import { mixInto } from '../../tensor/mix.js';
import type { Precision } from '../../tensor/graph.js';
import type { Engine } from '../../tensor/engine.js';
import type { VlmConfig } from './architecture.js';
import type { Optimizer } from './optimizer.js';
import { BASE, type ParameterSet } from './parameters.js';
import type { GraphCache } from './graph-cache.js';
import { findWeights, lendWeights, readWeights } from './weight-files.js';
import type { FirstValues } from './weights.js';

/** Set name of the reference, if it is not the base. */
const REFERENCE = 'reference';

/** The reference of a KL term: the weights that a policy was opened with, and what was mixed into them. */
export interface Reference {
  /** Its values in the layout of the trained weights; undefined while they are the checkpoint's. */
  readonly mixed: Float32Array | undefined;
  /** Its set in the engine, opened at first use, and the format of its matrices. */
  set(): Promise<{ readonly set: string; readonly held: Precision }>;
  /** Replaces the checkpoint's values. */
  take(values: Float32Array): Promise<void>;
  /** Moves it towards the current weights. @throws {ModelError} if it has no weights of its own. */
  mix(share: number): Promise<void>;
}

/**
 * The reference of the checkpoint in `dir`.
 *
 * @param precision of products.
 * @param held format in which the layout's matrices are held.
 * @param extra weights that the files don't have, with their initial values.
 */
export function referenceOf(
  dir: string,
  config: VlmConfig,
  { name, layout }: ParameterSet,
  optimizer: Pick<Optimizer, 'values'>,
  engine: Engine,
  graphs: GraphCache,
  precision: Precision,
  held: Precision,
  extra: readonly FirstValues[] = [],
): Reference {
  let mixed: Float32Array | undefined;
  let opening: Promise<void> | undefined;
  const take = async (own: Float32Array): Promise<void> => {
    // Opened on the checkpoint's files, which the graph keeps reading.
    if (!mixed) await graphs.close(`score ${REFERENCE} `);
    mixed = own;
    opening = engine.parameters(REFERENCE, layout, own);
    await opening;
  };
  return {
    get mixed() {
      return mixed;
    },
    async set() {
      // Frozen weights never change. Else the checkpoint is read again: without a KL term there is no second copy of
      // the weights.
      if (name !== BASE) return { set: BASE, held: precision };
      opening ??= findWeights(dir, config).then((files) => lendWeights(engine, REFERENCE, files, precision));
      await opening;
      return { set: REFERENCE, held: mixed ? held : precision };
    },
    take,
    async mix(share) {
      if (name !== BASE)
        throw new ModelError(
          `${dir}  reference: expected weights of its own, as where all of the policy's learn; got the checkpoint below ${name}, which is only read`,
        );
      const own = mixed ?? (await readWeights(await findWeights(dir, config), extra)).values;
      mixInto(own, await optimizer.values(), share);
      await take(own);
    },
  };
}
