import type { RunResult, Engine, EngineLearning, Feeds, Kept } from '../../src/tensor/engine.js';
import type { Data, DType, Place } from '../../src/tensor/graph.js';
import type { Layout } from '../../src/tensor/layout.js';
import { emit, type Program } from '../../src/tensor/onnx/emit.js';

/** What an engine was asked. Values are left out: what is placed, copied and allocated depends on sizes alone. */
export type Call =
  | {
      readonly kind: 'places';
      readonly set: string;
      readonly places: readonly (readonly [name: string, place: Place])[];
    }
  | { readonly kind: 'parameters'; readonly set: string; readonly layout: Layout }
  | {
      readonly kind: 'tensor';
      readonly set: string;
      readonly name: string;
      readonly length: number;
      readonly half: boolean;
    }
  | { readonly kind: 'open'; readonly program: Program; readonly sets: readonly string[] }
  | { readonly kind: 'close'; readonly name: string }
  | {
      readonly kind: 'run';
      readonly name: string;
      readonly sets: readonly string[];
      /** Elements, or what an earlier run kept. */
      readonly feeds: Readonly<Record<string, number | { readonly kept: number }>>;
      /** By output, the number that it is known by. */
      readonly keep: Readonly<Record<string, number>>;
      readonly sum?: 'begin' | 'add';
      readonly moments?: boolean;
    }
  | { readonly kind: 'drop'; readonly kept: readonly number[] }
  | { readonly kind: 'norm'; readonly set: string }
  | { readonly kind: 'readInto'; readonly set: string; readonly from: number; readonly length: number }
  | {
      readonly kind: 'step';
      readonly set: string;
      readonly layout: Layout;
      readonly options: Parameters<EngineLearning['step']>[2];
    };

const ARRAYS = {
  float32: Float32Array,
  bfloat16: Uint16Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  bool: Uint8Array,
} as const satisfies Readonly<Record<DType, new (length: number) => Data>>;
const GRADIENT = 'gradient:';

let open: Call[][] = [];

/** What engines were asked since the last call of this, an engine after the other. */
export function recorded(): Call[] {
  const calls = open.flat();
  open = [];
  return calls;
}

/**
 * Takes the place of `openEngine`: computes nothing, answers every run with zeros of the declared sizes, and keeps what
 * it was asked.
 */
export function openRecorder(): Engine {
  const calls: Call[] = [];
  const programs = new Map<string, Program>();
  const layouts = new Map<string, Layout>();
  let kept = 0;
  open.push(calls);
  return {
    workers: 1,
    name: 'recorder',
    traits: { device: 'cuda', halves: true },
    async open(graph, sets = ['policy']) {
      if (programs.has(graph.name)) return;
      const program = emit(graph, 'cuda');
      programs.set(graph.name, program);
      calls.push({ kind: 'open', program, sets });
    },
    async close({ name }) {
      if (programs.delete(name)) calls.push({ kind: 'close', name });
    },
    async parameters(set, layout) {
      layouts.set(set, layout);
      calls.push({ kind: 'parameters', set, layout });
    },
    async places(set, places) {
      calls.push({ kind: 'places', set, places: [...places] });
    },
    async tensor(set, name, values) {
      calls.push({ kind: 'tensor', set, name, length: values.length, half: values instanceof Uint16Array });
    },
    async run({ name }, feeds, sets = ['policy'], { keep = [], sum, moments } = {}) {
      const numbers = Object.fromEntries(keep.map((output) => [output, kept++]));
      calls.push({ kind: 'run', name, sets, feeds: extents(feeds), keep: numbers, ...(sum && { sum, moments }) });
      const { gradient, ...answer } = zeros(programs.get(name) as Program, layouts.get(sets[0]), numbers);
      return { ...answer, ...(gradient && sum === undefined ? { gradient } : {}) };
    },
    async drop(all) {
      calls.push({ kind: 'drop', kept: [...all].flatMap((one) => ('id' in one ? [one.id] : [])) });
    },
    // As on a device: training graphs sum their gradients up there.
    learning: {
      async norm(set) {
        calls.push({ kind: 'norm', set });
        return 0;
      },
      async step(set, layout, options) {
        calls.push({ kind: 'step', set, layout, options });
      },
      read: async (set) => new Float32Array(layouts.get(set)?.length ?? 0),
      async readInto(set, _, from, { length }) {
        calls.push({ kind: 'readInto', set, from, length });
      },
      async write() {},
    },
    memory: async () => undefined,
    async release() {},
  };
}

function extents(feeds: Feeds): Record<string, number | { readonly kept: number }> {
  const extent = (feed: Data | Kept): number | { readonly kept: number } =>
    'id' in feed ? { kept: feed.id } : 'data' in feed ? feed.data.length : feed.length;
  return Object.fromEntries(Object.entries(feeds).map(([name, feed]) => [name, extent(feed)]));
}

function zeros({ outputs }: Program, layout: Layout | undefined, keep: Readonly<Record<string, number>>): RunResult {
  const plain = outputs.filter(({ name }) => !name.startsWith(GRADIENT));
  return {
    outputs: Object.fromEntries(
      plain
        .filter(({ name }) => !(name in keep))
        .map(({ name, dtype, sizes }) => [name, new ARRAYS[dtype](sizes.reduce((product, size) => product * size, 1))]),
    ),
    kept: Object.fromEntries(Object.entries(keep).map(([name, id]) => [name, { id }])),
    sizes: Object.fromEntries(plain.map(({ name, sizes }) => [name, sizes])),
    ...(layout && plain.length < outputs.length ? { gradient: new Float32Array(layout.length) } : {}),
    version: 0,
  };
}
