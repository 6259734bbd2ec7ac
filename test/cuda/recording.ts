import type { Data, DType } from '../../src/tensor/graph.js';
import type { Program, ProgramFile } from '../../src/tensor/onnx.js';
import type { Answer, Engine, Feeds, Layout } from '../../src/tensor/session.js';

/** What an engine was asked. Values are left out: what is placed, copied and allocated depends on sizes alone. */
export type Call =
  | { readonly kind: 'frozen'; readonly set: string; readonly names: readonly string[] }
  | { readonly kind: 'parameters'; readonly set: string; readonly layout: Layout }
  | { readonly kind: 'open'; readonly program: Program; readonly sets: readonly string[] }
  | { readonly kind: 'close'; readonly program: string }
  | { readonly kind: 'run'; readonly program: string; readonly sets: readonly string[]; readonly feeds: Readonly<Record<string, number>> };

const ARRAYS = { float32: Float32Array, bfloat16: Uint16Array, float16: Uint16Array, int64: BigInt64Array, bool: Uint8Array } as const satisfies Readonly<Record<DType, new (length: number) => Data>>;
const GRADIENT = 'gradient:';

let open: Call[][] = [];

/** What engines were asked since the last call of this, an engine after the other. */
export function recorded(): Call[] {
  const calls = open.flat();
  open = [];
  return calls;
}

/** Takes the place of `openEngine`: computes nothing, answers every run with zeros of the declared sizes, and keeps what it was asked. */
export function openRecorder(): Engine {
  const calls: Call[] = [];
  const programs = new Map<string, Program>();
  const layouts = new Map<string, Layout>();
  open.push(calls);
  return {
    workers: 1,
    dialect: 'cuda',
    async open(program, sets = ['policy']) {
      if (programs.has(program.name)) return;
      programs.set(program.name, emitted(program));
      calls.push({ kind: 'open', program: emitted(program), sets });
    },
    async close({ name }) {
      if (programs.delete(name)) calls.push({ kind: 'close', program: name });
    },
    async parameters(set, layout) {
      layouts.set(set, layout);
      calls.push({ kind: 'parameters', set, layout });
    },
    async places(set, places) {
      calls.push({ kind: 'frozen', set, names: [...places.keys()] });
    },
    async tensor(set, name) {
      calls.push({ kind: 'frozen', set, names: [name] });
    },
    async run({ name }, feeds, sets = ['policy'], { keep = [], sum } = {}) {
      calls.push({ kind: 'run', program: name, sets, feeds: Object.fromEntries(Object.entries(feeds).map(([feed, value]) => [feed, lengthOf(value)])) });
      const { outputs, gradient, ...answer } = zeros(programs.get(name) as Program, layouts.get(sets[0] as string));
      const kept = keep.flatMap((output) => (outputs[output] ? [[output, { data: outputs[output] }] as const] : []));
      return { ...answer, outputs, ...(gradient && sum === undefined ? { gradient } : {}), ...(kept.length > 0 ? { kept: Object.fromEntries(kept) } : {}) };
    },
    async drop() {},
    // As on a device: training graphs sum their gradients up there.
    learning: {
      norm: async () => 0,
      async step() {},
      read: async (set) => new Float32Array(layouts.get(set)?.length ?? 0),
      async write() {},
    },
    memory: async () => undefined,
    async release() {},
  };
}

function lengthOf(value: Feeds[string]): number {
  if ('id' in value) throw new Error('expected values that were kept to be at hand; got a number of one');
  return 'data' in value ? value.data.length : value.length;
}

function emitted(program: Program | ProgramFile): Program {
  if ('file' in program) throw new Error(`${program.name}: expected a graph of segr1's own; got the file ${program.file}`);
  return program;
}

function zeros({ outputs }: Program, layout: Layout | undefined): Answer {
  const plain = outputs.filter(({ name }) => !name.startsWith(GRADIENT));
  return {
    outputs: Object.fromEntries(plain.map(({ name, dtype, sizes }) => [name, new ARRAYS[dtype](sizes.reduce((product, size) => product * size, 1))])),
    sizes: Object.fromEntries(plain.map(({ name, sizes }) => [name, sizes])),
    ...(layout && plain.length < outputs.length ? { gradient: new Float32Array(layout.length) } : {}),
    version: 0,
  };
}
