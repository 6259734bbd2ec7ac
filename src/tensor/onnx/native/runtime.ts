/**
 * A GPU, through ONNX Runtime's C API: weights are held there once, inputs and outputs are copied once for each run.
 */
import { arenaOf, openDevice, type Device, type DeviceOptions } from './device.js';
import { allocate, heldBy, writeFlat, type Held } from './held.js';
import { Learning } from './learning.js';
import { Narrowing } from './narrowing.js';
import { sessionOf } from './run.js';
import { openSession } from './sessions.js';
import { Weights, type Wanted } from './weights.js';
import { graphOf } from '../../engine.js';
import type { Place } from '../../graph.js';
import { ModelError, OutOfMemoryError } from '../../../errors.js';
import { emit, type Program } from '../emit.js';
import { input, neg } from '../../ops.js';
import { kindsOf, type Runtime } from '../runtime.js';

/** @throws {Error} if the device or what it needs is not there. */
export function nativeRuntime(options: DeviceOptions): Runtime<Held> {
  const device = openDevice(options);
  try {
    return runtimeOn(device);
  } catch (error) {
    device.release();
    throw error;
  }
}

function runtimeOn(device: Device): Runtime<Held> {
  // Always open: gives access to the arena.
  const least = openSession(device, emit(graphOf('least', { y: neg(input('x', 'float32', {})) }), 'cpu'));
  const arena = arenaOf(device, least);
  if (device.reserve !== undefined) arena.reserve(device.reserve);
  const weights = new Weights(device, arena);
  const learning = new Learning(device, arena);
  const narrowing = new Narrowing(device, arena);
  return {
    learning,
    async open(program, placed) {
      // Read before the graph is opened, so a broken file is reported sooner.
      loadAll(weights, wantedOf(program, placed));
      return sessionOf(device, weights, openSession(device, program));
    },
    hold(layout, values, before) {
      const held = before ?? heldBy(arena, layout, true);
      writeFlat(device, layout, values, held, narrowing);
      return held;
    },
    own(values) {
      const [held] = allocate(arena, [{ length: values.length, kinds: kindsOf(values) }]) as [Held];
      if (values.length > 0) device.transfer.write(held.at, values);
      return held;
    },
    extent: (held) => held,
    release(values) {
      for (const held of values) held.free();
    },
    retain: (places) => weights.retain(places),
    memory: () => arena.use(),
    async end() {
      weights.retain([]);
      learning.end();
      narrowing.end();
      arena.release();
      device.api.release('Session', least);
      device.release();
    },
  };
}

function wantedOf({ inputs }: Pick<Program, 'inputs'>, placed: ReadonlyMap<string, Place>): Wanted[] {
  return inputs.flatMap(({ name, dtype, sizes }) => {
    const place = placed.get(name);
    return place ? [{ place, dtype, sizes }] : [];
  });
}

/** Smaller runs don't help if weights don't fit, so the error does not suggest them. */
function loadAll(weights: Weights, wanted: readonly Wanted[]): void {
  try {
    weights.load(wanted);
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error;
    throw new ModelError(
      `weights: ${error.message}; way out: a larger memory, precision: bfloat16, or a smaller checkpoint`,
      { cause: error },
    );
  }
}
