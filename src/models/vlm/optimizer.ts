/** AdamW on a policy's trained weights: on their device, or on the host. */
import { adamState, gradientNorm, type AdamOptions, type AdamState } from '../../tensor/adamw.js';
import { openStepper } from '../../tensor/adamw-threads.js';
import type { Engine, EngineLearning } from '../../tensor/engine.js';
import { ModelError } from '../../errors.js';
import { firstNonFinite } from '../../io/finite.js';
import type { Layout } from '../../tensor/layout.js';
import type { ParameterSet } from './parameters.js';

/** The state of AdamW. */
export interface Optimizer {
  /** Euclidean length of a gradient. @param gradient empty if runs summed theirs on the device. */
  norm(gradient: Float32Array): Promise<number>;
  /**
   * One step on that gradient; later runs of the engine use the new weights.
   *
   * @throws {ModelError} if a weight or moment is infinite or NaN afterwards, as far as they are on the host.
   */
  step(gradient: Float32Array, version: number, options: AdamOptions): Promise<void>;
  /** The current weights, on the host. */
  values(): Promise<Float32Array>;
  /** Moments and steps taken; undefined before the first. */
  state(): Promise<AdamState | undefined>;
  /** Continues with the host's values and the given moments. */
  restore(adam: AdamState | undefined, version: number): Promise<void>;
  /** Waits for a step under way and ends its threads. */
  release(): Promise<void>;
}

/** @param threads that a step may use. */
export function optimizerOf(engine: Engine, trained: ParameterSet, threads: number): Optimizer {
  return engine.learning ? onDevice(engine, engine.learning, trained) : onHost(engine, trained, threads);
}

function onHost(engine: Engine, { name, layout, values }: ParameterSet, threads: number): Optimizer {
  const stepper = openStepper(threads);
  let adam: AdamState | undefined;
  return {
    norm: async (gradient) => gradientNorm(gradient),
    async step(gradient, version, options) {
      adam ??= adamState(layout);
      if (!(await stepper.step(layout, values, gradient, adam, options))) throw overflowed(layout, values, adam);
      await engine.parameters(name, layout, values, version);
    },
    values: async () => values,
    state: async () => adam,
    async restore(state, version) {
      adam = state;
      await engine.parameters(name, layout, values, version);
    },
    release: () => stepper.release(),
  };
}

/** The first weight or moment that is none. */
function overflowed(layout: Layout, values: Float32Array, { first, second }: AdamState): ModelError {
  for (const [what, array] of Object.entries({ weights: values, 'first moments': first, 'second moments': second })) {
    const at = firstNonFinite(array);
    const entry = layout.entries.find(({ offset, length }) => at >= offset && at < offset + length);
    if (entry) return new ModelError(`expected finite ${what}; got ${array[at]} in ${entry.name}`);
  }
  return new ModelError('expected finite weights and moments; got others');
}

function onDevice(engine: Engine, learning: EngineLearning, { name, layout, values }: ParameterSet): Optimizer {
  /** Steps taken, those before a restored state included. */
  let taken = 0;
  /** Whether the host's values are those of the device. */
  let current = true;
  const own = async (gradient: Float32Array): Promise<void> => {
    if (gradient.length > 0) await learning.write(name, 'gradient', gradient);
  };
  return {
    async norm(gradient) {
      await own(gradient);
      return learning.norm(name);
    },
    async step(_, version, options) {
      await learning.step(name, layout, { ...options, step: taken + 1, version });
      taken++;
      current = false;
    },
    async values() {
      if (!current) values.set(await learning.read(name, 'values'));
      current = true;
      return values;
    },
    async state() {
      if (taken === 0) return undefined;
      return { first: await learning.read(name, 'first'), second: await learning.read(name, 'second'), step: taken };
    },
    async restore(adam, version) {
      await engine.parameters(name, layout, values, version);
      current = true;
      taken = adam?.step ?? 0;
      if (!adam) return;
      await learning.write(name, 'first', adam.first);
      await learning.write(name, 'second', adam.second);
    },
    release: async () => {},
  };
}
