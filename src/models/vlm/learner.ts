import { join } from 'node:path';

import { messageOf, ModelError, NonFiniteError } from '../../errors.js';
import { clipScale } from '../../tensor/adamw.js';
import { mixInto } from '../../tensor/mix.js';
import type { Policy, Resumable } from '../policy.js';
import type { VlmConfig } from './architecture.js';
import type { Optimizer } from './optimizer.js';
import type { Parameters } from './parameters.js';
import type { Reference } from './reference.js';
import { AVERAGE, restoreTraining, saveTraining } from './training-state.js';

/** Takes optimizer steps on the trained weights, and keeps the optimizer's state. */
export type Learner = Pick<Policy, 'version' | 'step' | 'release'> & Resumable;

/** @param dir names the policy in messages. */
export function learnerOf(
  dir: string,
  config: VlmConfig,
  { trained, save }: Pick<Parameters, 'trained' | 'save'>,
  reference: Reference,
  optimizer: Optimizer,
): Learner {
  /** Running average of the weights after each step, if requested. */
  let average: Float32Array | undefined;
  let version = 0;
  let held: Promise<unknown> = Promise.resolve();
  return {
    get version() {
      return version;
    },
    pause: (ready) => void (held = ready),
    async step(gradient, { ema, maxNorm, ...options }) {
      const norm = await optimizer.norm(gradient);
      if (!Number.isFinite(norm))
        throw new NonFiniteError(`${dir}  step ${version + 1}: expected a finite gradient; got a norm of ${norm}`);
      await held;
      if (ema !== undefined) average ??= new Float32Array(await optimizer.values());
      await optimizer
        .step(gradient, version + 1, { ...options, gradientScale: clipScale(norm, maxNorm) })
        .catch((error: unknown) => {
          throw new ModelError(
            `${dir}  step ${version + 1}: ${messageOf(error)}; way out: a smaller learningRate, from the last checkpoint`,
            { cause: error },
          );
        });
      if (average && ema !== undefined) mixInto(average, await optimizer.values(), 1 - ema);
      version++;
      return norm;
    },
    release: () => optimizer.release(),
    async saveTraining(folder) {
      if (average) await save(join(folder, AVERAGE), average);
      const [, adam] = [await optimizer.values(), await optimizer.state()];
      await saveTraining(folder, config, trained, { version, adam, reference: reference.mixed, average });
    },
    async restore(folder) {
      const state = await restoreTraining(folder, config, trained);
      await optimizer.restore(state.adam, state.version);
      if (state.reference) await reference.take(state.reference);
      ({ average, version } = state);
    },
  };
}
