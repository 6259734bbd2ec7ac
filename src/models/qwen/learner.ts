import { join } from 'node:path';

import { NonFiniteError } from '../../errors.js';
import { adamState, clipScale, gradientNorm, type AdamState } from '../../tensor/adamw.js';
import { openStepper } from '../../tensor/adamw-threads.js';
import { mixInto } from '../../tensor/mix.js';
import type { Engine } from '../../tensor/session.js';
import type { Policy, Resumable } from '../policy.js';
import type { Parameters } from './parameters.js';
import type { Reference } from './reference.js';
import { AVERAGE, restoreTraining, saveTraining } from './training-state.js';

/** Takes optimizer steps on the weights that learn, and keeps what the next one needs. */
export type Learner = Pick<Policy, 'version' | 'step' | 'release'> & Resumable;

/** @param dir names the policy in messages. @param threads that a step may use. */
export function learnerOf(dir: string, { trained, save }: Pick<Parameters, 'trained' | 'save'>, reference: Reference, engine: Engine, threads: number): Learner {
  const { name, layout, values } = trained;
  const stepper = openStepper(threads);
  let adam: AdamState | undefined;
  /** Of the weights after each step, where a step asked for it. */
  let average: Float32Array | undefined;
  let version = 0;
  let held: Promise<unknown> = Promise.resolve();
  return {
    get version() {
      return version;
    },
    hold: (ready) => void (held = ready),
    async step(gradient, { ema, maxNorm, ...options }) {
      const norm = gradientNorm(gradient);
      if (!Number.isFinite(norm)) throw new NonFiniteError(`${dir}  step ${version + 1}: expected a finite gradient; got a norm of ${norm}`);
      await held;
      adam ??= adamState(layout);
      if (ema !== undefined) average ??= Float32Array.from(values);
      await stepper.step(layout, values, gradient, adam, { ...options, gradientScale: clipScale(norm, maxNorm) });
      if (average && ema !== undefined) mixInto(average, values, 1 - ema);
      await engine.parameters(name, layout, values, version + 1);
      version++;
      return norm;
    },
    release: () => stepper.release(),
    async saveTraining(folder) {
      if (average) await save(join(folder, AVERAGE), average);
      await saveTraining(folder, trained, { version, adam, reference: reference.mixed, average });
    },
    async restore(folder) {
      const state = await restoreTraining(folder, trained);
      await engine.parameters(name, layout, values, state.version);
      if (state.reference) await reference.take(state.reference);
      ({ adam, average, version } = state);
    },
  };
}
