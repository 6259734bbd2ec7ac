/** AdamW on a policy's trained weights: on their device, or on the host. */
import { availableParallelism } from 'node:os';

import { adamState, gradientNorm, piecesOf, type AdamOptions, type AdamState } from '../../tensor/adamw.js';
import { openStepper, within, type Stepper } from '../../tensor/adamw-threads.js';
import type { Engine, EngineLearning } from '../../tensor/engine.js';
import { ModelError } from '../../errors.js';
import { firstNonFinite } from '../../io/finite.js';
import { isHalf, type Precision } from '../../tensor/graph.js';
import type { Layout } from '../../tensor/layout.js';
import type { VlmConfig } from './architecture.js';
import { BASE, type ParameterSet } from './parameters.js';
import { heldIn } from './weights.js';

/** Where AdamW's moments and the weights that it changes are; the same for an engine that computes on the host. */
export type OptimizerPlace = 'device' | 'host';

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

/** @param threads that a step on the host may use; for a device all cores, which have nothing else to do. */
export function optimizerOf(
  engine: Engine,
  trained: ParameterSet,
  threads: number,
  place: OptimizerPlace = 'device',
): Optimizer {
  const { learning } = engine;
  if (!learning) return onHost(engine, trained, given(trained, openStepper(threads)));
  if (place === 'device') return onDevice(engine, learning, trained);
  return onHost(engine, trained, summed(learning, trained, openStepper(Math.max(threads, availableParallelism()))));
}

/**
 * A trained checkpoint in the formats of `heldIn`, if its engine holds halves. Products round matrices to `precision`
 * anyway, so a device whose optimizer is on the host needs no more of them; only an embedded token, which is looked up,
 * is then rounded, too.
 */
export function heldLayout(config: VlmConfig, { name, layout }: ParameterSet, precision: Precision): Layout {
  if (name !== BASE) return layout;
  const formats = new Map(
    config.architecture.weightShapes(config).map((shape) => [shape.name, heldIn(shape, precision)]),
  );
  return {
    ...layout,
    entries: layout.entries.map((entry) => {
      const held = formats.get(entry.name) ?? 'float32';
      return isHalf(held) ? { ...entry, held } : entry;
    }),
  };
}

/** Gradients where a step on the host finds them. */
interface Gradients {
  norm(gradient: Float32Array): Promise<number>;
  /** Changes values and moments. @returns whether all of them are finite. */
  step(gradient: Float32Array, adam: AdamState, options: AdamOptions): Promise<boolean>;
  release(): Promise<void>;
}

/** After a step the engine gets all new weights at once, so a run has those of one version. */
function onHost(engine: Engine, { name, layout, values }: ParameterSet, gradients: Gradients): Optimizer {
  let adam: AdamState | undefined;
  return {
    norm: (gradient) => gradients.norm(gradient),
    async step(gradient, version, options) {
      adam ??= adamState(layout);
      if (!(await gradients.step(gradient, adam, options))) throw overflowed(layout, values, adam);
      await engine.parameters(name, layout, values, version);
    },
    values: async () => values,
    state: async () => adam,
    async restore(state, version) {
      adam = state;
      await engine.parameters(name, layout, values, version);
    },
    release: () => gradients.release(),
  };
}

/** Those that a step is given. */
function given({ layout, values }: ParameterSet, stepper: Stepper): Gradients {
  return {
    norm: async (gradient) => gradientNorm(gradient),
    step: (gradient, adam, options) => stepper.step(layout, values, gradient, adam, options),
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

/** Elements of a device's sum that are on the host at once, twice: one piece is read while the one before is used. */
const PIECE = 2 ** 24;

/** Those that a device has summed up; it reads them piece by piece. */
function summed(learning: EngineLearning, { name, layout, values }: ParameterSet, stepper: Stepper): Gradients {
  const size = Math.min(PIECE, layout.length);
  return {
    norm: (gradient) => normOnDevice(learning, name, gradient),
    async step(_, adam, options) {
      const pieces = piecesOf(layout, adam.step + 1, options);
      const buffers = [0, 1].map(() => new Float32Array(new SharedArrayBuffer(4 * size)));
      const read = async (from: number): Promise<Float32Array> => {
        const into = buffers[(from / size) % 2].subarray(0, Math.max(0, layout.length - from));
        if (into.length > 0) await learning.readInto(name, 'gradient', from, into);
        return into;
      };
      let finite = true;
      let gradient = await read(0);
      for (let from = 0; from < layout.length; from += size) {
        const part = (array: Float32Array): Float32Array => array.subarray(from, from + size);
        const arrays = { values: part(values), gradient, first: part(adam.first), second: part(adam.second) };
        const [following, all] = await Promise.all([
          read(from + size),
          stepper.update(arrays, within(pieces, from, from + gradient.length)),
        ]);
        gradient = following;
        finite &&= all;
      }
      adam.step += 1;
      return finite;
    },
    release: () => stepper.release(),
  };
}

/** @param gradient takes the place of the sum; empty if runs summed theirs. */
async function normOnDevice(learning: EngineLearning, name: string, gradient: Float32Array): Promise<number> {
  if (gradient.length > 0) await learning.write(name, 'gradient', gradient);
  return learning.norm(name);
}

function onDevice(engine: Engine, learning: EngineLearning, { name, layout, values }: ParameterSet): Optimizer {
  /** Steps taken, those before a restored state included. */
  let taken = 0;
  /** Whether the host's values are those of the device. */
  let current = true;
  return {
    norm: (gradient) => normOnDevice(learning, name, gradient),
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
