/** Graphs and parameter sets of one thread, on any runtime. */
import type { DType, Place } from '../graph.js';
import { GRADIENT, SUM, type GraphFile, type LearningPart, type RunResult } from '../engine.js';
import type { Layout } from '../layout.js';
import type { Program } from './emit.js';
import {
  kindsOf,
  type Extent,
  type HeldFlat,
  type Input,
  type Output,
  type Result,
  type Runtime,
  type Session,
  type SetLearning,
} from './runtime.js';
import type { JobResult, RunAnswer, SessionJob } from './session.js';
import { arrayOf, halvesOf, spanOf } from '../span.js';
import { messageOf, OutOfMemoryError } from '../../errors.js';

/** A trainable set; its training arrays are made on request. */
interface Flat<Value> {
  readonly layout: Layout;
  readonly version: number;
  readonly parts: Map<LearningPart, HeldFlat<Value>>;
}

/** A parameter set; in one array if it is trainable. */
interface Held<Value> {
  readonly flat?: Flat<Value>;
  readonly values: ReadonlyMap<string, Value>;
  readonly places: ReadonlyMap<string, Place>;
}

/** An open graph, with its inputs in files. */
interface Opened<Value> {
  readonly session: Session<Value>;
  readonly program: Pick<Program, 'name' | 'inputs' | 'outputs'>;
}

type RunJob = Extract<SessionJob, { kind: 'run' }>;

/** The result of a job, and its transferable parts. */
export interface Handled {
  readonly answer: RunAnswer | JobResult;
  readonly transfer?: readonly ArrayBuffer[];
}

const DONE: Handled = { answer: {} };

/** Does the jobs of one thread, in order. */
export class SessionHost<Value> {
  readonly #runtime: Runtime<Value>;
  readonly #open = new Map<string, Opened<Value>>();
  readonly #sets = new Map<string, Held<Value>>();
  /** Kept outputs. */
  readonly #kept = new Map<number, Value>();
  #ids = 0;
  #ended = false;

  constructor(runtime: Runtime<Value>) {
    this.#runtime = runtime;
  }

  async handle(job: SessionJob): Promise<Handled> {
    switch (job.kind) {
      case 'open':
        await this.#opened(job.program, job.sets).catch(named(job.program.name));
        return DONE;
      case 'close':
        await this.#close(job.program);
        return DONE;
      case 'parameters':
        this.#hold(job.set, job.layout, arrayOf(job.values), job.version);
        return DONE;
      case 'places':
        this.#add(job.set, new Map(), job.places);
        return DONE;
      case 'tensor':
        this.#own(job);
        return DONE;
      case 'run': {
        const { gradient, ...answer } = await this.#run(job).catch(named(job.program));
        if (!gradient) return { answer };
        return { answer: { ...answer, gradient: spanOf(gradient) }, transfer: [gradient.buffer as ArrayBuffer] };
      }
      case 'drop':
        this.#drop(job.ids);
        return DONE;
      case 'memory':
        return { answer: { memory: this.#runtime.memory() } };
      case 'squares':
      case 'step':
      case 'read':
      case 'readInto':
      case 'write':
        return this.#learn(job);
      case 'end':
        await this.#end();
        return DONE;
    }
  }

  /** The first of the sets that has a parameter. */
  #holder(from: readonly string[], input: string): Held<Value> | undefined {
    return from.map((set) => this.#sets.get(set)).find((set) => set?.values.has(input) || set?.places.has(input));
  }

  async #opened(program: Program | GraphFile, from: readonly string[]): Promise<void> {
    const placed = new Map(
      program.inputs.flatMap(({ name, dtype }) => {
        const place = this.#holder(from, name)?.places.get(name);
        return place ? [[name, ofKind(name, dtype, place)] as const] : [];
      }),
    );
    const session = await this.#runtime.open(program, placed);
    const { name, inputs, outputs } = program;
    this.#open.set(name, { session, program: { name, inputs, outputs } });
  }

  async #close(name: string): Promise<void> {
    const known = this.#open.get(name);
    this.#open.delete(name);
    await known?.session.release();
  }

  /** A later version of a set replaces the earlier one. */
  #hold(set: string, layout: Layout, values: Float32Array, version: number): void {
    const before = this.#sets.get(set);
    const same = before?.flat?.layout.length === layout.length && sameEntries(before.flat.layout, layout);
    const held = this.#runtime.hold(layout, values, same ? before.values : undefined);
    const parts = (same && before?.flat?.parts) || new Map<LearningPart, HeldFlat<Value>>();
    this.#sets.set(set, { flat: { layout, version, parts }, values: held, places: new Map() });
    if (before && !same) this.#forget(all(before), before.places.size > 0);
  }

  #own({ set, name, values, half }: Extract<SessionJob, { kind: 'tensor' }>): void {
    this.#add(set, new Map([[name, this.#runtime.own(half ? halvesOf(values) : arrayOf(values))]]), new Map());
  }

  /** Adds tensors to a set, replacing those of the same name. */
  #add(set: string, added: ReadonlyMap<string, Value>, placed: ReadonlyMap<string, Place>): void {
    const before = this.#sets.get(set) ?? { values: new Map<string, Value>(), places: new Map<string, Place>() };
    const stays = (name: string): boolean => !added.has(name) && !placed.has(name);
    const values = [...before.values];
    this.#sets.set(set, {
      values: new Map([...values.filter(([name]) => stays(name)), ...added]),
      places: new Map([...[...before.places].filter(([name]) => stays(name)), ...placed]),
    });
    this.#forget(
      values.filter(([name]) => !stays(name)).map(([, value]) => value),
      [...before.places.keys()].some((name) => !stays(name)),
    );
  }

  #forget(values: Iterable<Value>, placed: boolean): void {
    this.#runtime.release(values);
    if (placed) this.#runtime.retain([...this.#sets.values()].flatMap(({ places }) => [...places.values()]));
  }

  async #run({
    program: name,
    sets: from,
    feeds,
    settings: { keep = [], sum, moments = true },
  }: RunJob): Promise<RunResult> {
    const known = this.#open.get(name);
    if (this.#ended) throw new Error(`expected a run before the engine's release; got one after`);
    if (!known) throw new Error(`expected an open graph; got one that was never opened`);
    const { session, program } = known;
    const { flat, flat: { layout: trained, version } = { version: 0 } } = this.#sets.get(from[0] ?? '') ?? {};
    const sums = sum === undefined ? undefined : this.#summed(from[0], flat, sum === 'begin', moments);
    const inputs = program.inputs.map((input) => {
      const before = input.name.startsWith(SUM) ? sums?.get(input.name.slice(SUM.length)) : undefined;
      return before === undefined
        ? this.#input(input, from, feeds[input.name])
        : this.#heldInput(input.name, input.dtype, input.sizes, before);
    });
    const learns = trained && program.outputs.some((output) => output.name.startsWith(GRADIENT));
    const gradient = learns && !sums ? new Float32Array(new ArrayBuffer(4 * trained.length)) : undefined;
    const outputs = program.outputs.map((output): Output<Value> => {
      if (!learns || !output.name.startsWith(GRADIENT)) return { ...output, keep: keep.includes(output.name) };
      const entry = trained.entries.find((parameter) => parameter.name === output.name.slice(GRADIENT.length));
      if (!entry)
        throw new Error(
          `expected a parameter of the set ${from[0]} for the output ${output.name}; got none of that name`,
        );
      return {
        ...output,
        into: sums
          ? (sums.get(entry.name) as Value)
          : (gradient as Float32Array).subarray(entry.offset, entry.offset + entry.length),
      };
    });
    const results = (await session.run(inputs, outputs)).filter((result) => !result.name.startsWith(GRADIENT));
    return {
      outputs: Object.fromEntries(results.flatMap(({ name: label, data }) => (data ? [[label, data]] : []))),
      sizes: Object.fromEntries(results.map(({ name: label, sizes }) => [label, sizes])),
      ...this.#keep(results),
      ...(gradient ? { gradient } : {}),
      version,
    };
  }

  /** Sums of gradients. */
  #summed(set: string | undefined, flat: Flat<Value> | undefined, begin: boolean, moments: boolean): HeldFlat<Value> {
    const { learning } = this.#runtime;
    if (!learning || !flat)
      throw new Error(`expected a set that learns where it is held to sum gradients up; got ${set}`);
    const known = flat.parts.has('gradient');
    // Allocates all that a step needs, before runs take the rest.
    const held = this.#part(flat, 'gradient');
    if (moments) for (const part of ['first', 'second'] as const) this.#part(flat, part);
    if (begin && known) learning.clear(flat.layout, held);
    return held;
  }

  /** A set's training arrays, made at first use. */
  #part({ layout, parts }: Flat<Value>, part: LearningPart): HeldFlat<Value> {
    const held = parts.get(part) ?? (this.#runtime.learning as SetLearning<Value>).zeros(layout);
    parts.set(part, held);
    return held;
  }

  #learn(job: Extract<SessionJob, { kind: 'squares' | 'step' | 'read' | 'readInto' | 'write' }>): Handled {
    const { learning } = this.#runtime;
    const { flat, values } = this.#sets.get(job.set) ?? {};
    if (!learning || !flat || !values) throw new Error(`expected a set that learns where it is held; got ${job.set}`);
    const { layout } = flat;
    switch (job.kind) {
      case 'squares':
        return { answer: { squares: learning.squares(layout, this.#part(flat, 'gradient')) } };
      case 'step': {
        const parts = {
          gradient: this.#part(flat, 'gradient'),
          first: this.#part(flat, 'first'),
          second: this.#part(flat, 'second'),
        };
        learning.step(layout, { values, ...parts }, job.pieces);
        this.#sets.set(job.set, { flat: { ...flat, version: job.version }, values, places: new Map() });
        return DONE;
      }
      case 'read': {
        const read = new Float32Array(new ArrayBuffer(4 * layout.length));
        learning.read(layout, job.part === 'values' ? values : this.#part(flat, job.part), 0, read);
        return { answer: { values: spanOf(read) }, transfer: [read.buffer] };
      }
      case 'readInto':
        learning.read(layout, this.#part(flat, job.part), job.from, arrayOf(job.into));
        return DONE;
      case 'write':
        this.#runtime.hold(layout, arrayOf(job.values), this.#part(flat, job.part));
        return DONE;
    }
  }

  #input(
    { name, dtype, sizes }: Program['inputs'][number],
    from: readonly string[],
    fed: RunJob['feeds'][string] | undefined,
  ): Input<Value> {
    if (fed && 'id' in fed) {
      const held = this.#kept.get(fed.id);
      if (held === undefined)
        throw new Error(`expected an output that was kept for the input ${name}; got one that was dropped`);
      return this.#heldInput(name, dtype, sizes, held);
    }
    if (fed)
      return {
        name,
        dtype,
        sizes: fitted(name, dtype, sizes, { length: fed.length, kinds: kindsOf(fed) }),
        from: { data: fed },
      };
    const holder = this.#holder(from, name);
    const place = holder?.places.get(name);
    if (place) return { name, dtype, sizes, from: { place: ofKind(name, dtype, place) } };
    const held = holder?.values.get(name);
    if (held === undefined)
      throw new Error(
        `expected a value for the input ${name}; got neither a feed nor a parameter of the set ${from.join(' or ')}`,
      );
    return this.#heldInput(name, dtype, sizes, held);
  }

  #heldInput(name: string, dtype: DType, sizes: readonly number[], held: Value): Input<Value> {
    return { name, dtype, sizes: fitted(name, dtype, sizes, this.#runtime.extent(held)), from: { held } };
  }

  #keep(results: readonly Result<Value>[]): Pick<RunResult, 'kept'> {
    const kept = results.flatMap(({ name, held }) => {
      if (held === undefined) return [];
      this.#kept.set(++this.#ids, held);
      return [[name, { id: this.#ids }] as const];
    });
    return kept.length > 0 ? { kept: Object.fromEntries(kept) } : {};
  }

  #drop(ids: readonly number[]): void {
    for (const id of ids) {
      const held = this.#kept.get(id);
      this.#kept.delete(id);
      if (held !== undefined) this.#runtime.release([held]);
    }
  }

  async #end(): Promise<void> {
    this.#ended = true;
    for (const name of this.#open.keys()) await this.#close(name);
    this.#drop([...this.#kept.keys()]);
    for (const set of this.#sets.values()) this.#runtime.release(all(set));
    this.#sets.clear();
    await this.#runtime.end();
  }
}

/** All values of a set. */
function all<Value>({ flat, values }: Held<Value>): Value[] {
  return [...values.values(), ...[...(flat?.parts.values() ?? [])].flatMap((part) => [...part.values()])];
}

function sameEntries(a: Layout, b: Layout): boolean {
  return (
    a.entries.length === b.entries.length &&
    a.entries.every(({ name, length, held }, i) => {
      const other = b.entries[i];
      return name === other?.name && length === other.length && held === other.held;
    })
  );
}

/** A place, if it holds values of the declared type. */
function ofKind(input: string, dtype: DType, place: Place): Place {
  const { dtype: kind = 'float32', file } = place;
  if (kind !== dtype) throw new Error(`expected ${dtype} for the input ${input}; got ${kind}, as it lies in ${file}`);
  return place;
}

/**
 * A fed or held input, checked here because the runtime's message does not name it.
 *
 * @returns sizes without -1.
 */
function fitted(
  input: string,
  dtype: DType,
  declared: readonly number[],
  { length: got, kinds }: Extent,
): readonly number[] {
  const told = declared.reduce((product, size) => (size < 0 ? product : product * size), 1);
  const sizes = declared.map((size) => (size < 0 ? Math.floor(got / told) : size));
  const length = sizes.reduce((product, size) => product * size, 1);
  if (got !== length || !kinds.includes(dtype))
    throw new Error(
      `expected ${length} elements of ${dtype} for the input ${input}; got ${got} of ${kinds.join(' or ')}`,
    );
  return sizes;
}

/** Puts the graph's name before a message. */
const named =
  (name: string) =>
  (error: unknown): never => {
    const message = `${name}: ${messageOf(error)}`;
    throw error instanceof OutOfMemoryError ? new OutOfMemoryError(message, error.bytes) : new Error(message);
  };
