import { spawn } from 'node:child_process';
import { createReadStream, existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type { Call } from './recording.js';
import type { Standin } from './standin.js';

/** Engines' calls, under a name. */
export interface Case {
  readonly name: string;
  readonly calls: readonly Call[];
  /** Why there are no more calls, where the work failed. */
  readonly error?: string;
}

export interface ReplayOptions {
  /** How often each run is done; once by default. */
  readonly repeat?: number;
  /** Of the device, taken at once, as segr1 does; as it is needed by default. */
  readonly memory?: number;
  /** Whether products of float32 may round their factors; they don't by default. */
  readonly tf32?: boolean;
  /** Settings of the stand-in, see `standin/standin.h`. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Copies of one direction: how many of each size, bytes. */
export type Copies = ReadonlyMap<number, number>;

/** What one run did, or the opening of a graph. */
export interface Events {
  readonly program: string;
  readonly toDevice: Copies;
  readonly toHost: Copies;
  readonly within: Copies;
  readonly kernels: number;
  /** By kind of element, multiplications and additions. */
  readonly operations: Readonly<Record<string, number>>;
  /** Products whose factors may be rounded to 10 bits. */
  readonly rounded: number;
  readonly waits: number;
  /** Bytes taken from the device, behind it and at most so far. */
  readonly held: number;
  readonly peak: number;
}

export interface Outcome {
  readonly error?: string;
  readonly opened: readonly Events[];
  /** Parameter sets. */
  readonly sent: readonly Events[];
  readonly runs: readonly Events[];
  /** Allocations that the device had no room for. */
  readonly refused: number;
  /** Bytes in use at most, of weights and values; known where all was done. */
  readonly most?: number;
}

/**
 * Does on the stand-in what engines were asked, in a process of its own: what crashes there fails the cases that come
 * behind it.
 *
 * @returns an outcome a case, by name.
 */
export async function replay(
  standin: Standin,
  cases: readonly Case[],
  { repeat = 1, memory, tf32 = false, env = {} }: ReplayOptions = {},
): Promise<ReadonlyMap<string, Outcome>> {
  const folder = await mkdtemp(join(tmpdir(), 'segr1-standin-'));
  try {
    await writeCases(folder, cases, {
      device: {
        kind: 'cuda',
        index: 0,
        tf32,
        ...(memory === undefined ? { grow: true } : { memory }),
        libraries: standin,
      },
      repeat,
    });
    const log = join(folder, 'log');
    const { told, printed, end } = await run([fileURLToPath(new URL('replay.mjs', import.meta.url)), folder], {
      STANDIN_LOG: log,
      STANDIN_BYTES: '1e6',
      STANDIN_LOOPS: '1',
      ...env,
    });
    const events = existsSync(log) ? await readLog(log) : new Map<string, Logged>();
    const done = new Map(told.flatMap((one) => (one.done === undefined ? [] : [[one.done, one] as const])));
    const last = `expected the process to get to the end; got ${end} at ${told.at(-1)?.begun ?? 'its start'}\n${printed.slice(-2000)}`;
    return new Map(
      cases.map(({ name, error: before }) => {
        const ended = done.get(name);
        const error = before ?? (ended ? ended.error : last);
        return [
          name,
          {
            ...(error === undefined ? {} : { error }),
            ...(ended?.memory ? { most: ended.memory.most } : {}),
            ...(events.get(name) ?? nothing()),
          },
        ];
      }),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function writeCases(folder: string, cases: readonly Case[], how: object): Promise<void> {
  let graphs = 0;
  const written: unknown[] = [];
  for (const { name, calls } of cases) {
    const own: unknown[] = [];
    for (const call of calls) {
      if (call.kind !== 'open') {
        own.push(call);
        continue;
      }
      const { bytes, ...program } = call.program;
      const file = `${graphs++}.onnx`;
      await writeFile(join(folder, file), bytes);
      own.push({ ...call, program: { ...program, file } });
    }
    written.push({ name, calls: own });
  }
  await writeFile(join(folder, 'cases.json'), JSON.stringify({ cases: written, ...how }));
}

interface Told {
  readonly begun?: string;
  readonly done?: string;
  readonly error?: string;
  readonly memory?: { readonly most: number };
}

async function run(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ readonly told: readonly Told[]; readonly printed: string; readonly end: string }> {
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, printed] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const stop = (): void => void child.kill();
  process.once('exit', stop);
  const end = await new Promise<string>((resolve) =>
    child.once('close', (code, signal) => resolve(signal === null ? `exit status ${code}` : signal)),
  );
  process.off('exit', stop);
  const told = out.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Told] : []));
  return { told, printed, end };
}

/** What happened between two marks, while it is counted. */
class Counting {
  readonly program: string;
  readonly copies = { h2d: new Map<number, number>(), d2h: new Map<number, number>(), d2d: new Map<number, number>() };
  readonly operations: Record<string, number> = {};
  kernels = 0;
  rounded = 0;
  waits = 0;

  constructor(program: string) {
    this.program = program;
  }

  add(words: readonly string[]): void {
    const [kind, first = ''] = words;
    if (kind === 'kernel') this.kernels++;
    else if (kind === 'wait') this.waits++;
    else if (kind === 'copy' && first in this.copies) {
      const sizes = this.copies[first as keyof typeof this.copies];
      sizes.set(Number(words[2]), (sizes.get(Number(words[2])) ?? 0) + 1);
    } else if (kind === 'gemm') {
      const [m, n, k, , batch] = words.slice(-5).map(Number) as [number, number, number, number, number];
      this.operations[first] = (this.operations[first] ?? 0) + 2 * m * n * k * batch;
      if (words[2] === 'tf32') this.rounded++;
    }
  }

  events(held: number, peak: number): Events {
    const { program, copies, kernels, operations, rounded, waits } = this;
    return {
      program,
      toDevice: copies.h2d,
      toHost: copies.d2h,
      within: copies.d2d,
      kernels,
      operations,
      rounded,
      waits,
      held,
      peak,
    };
  }
}

/** What the log says of a case. */
interface Logged {
  readonly opened: Events[];
  readonly sent: Events[];
  readonly runs: Events[];
  refused: number;
}

const nothing = (): Logged => ({ opened: [], sent: [], runs: [], refused: 0 });

/** @see standin/events.c for the lines. */
async function readLog(path: string): Promise<Map<string, Logged>> {
  const all = new Map<string, Logged>();
  let own = nothing();
  let counting = new Counting('');
  let [held, peak] = [0, 0];
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    const words = line.split(' ');
    const [kind, what] = words;
    if (kind === 'mark') {
      const rest = words.slice(2).join(' ');
      if (what === 'opened') own.opened.push(counting.events(held, peak));
      else if (what === 'sent') own.sent.push(counting.events(held, peak));
      else if (what === 'ran') own.runs.push(counting.events(held, peak));
      else if (what === 'case') {
        all.set(rest, (own = nothing()));
        peak = held;
      }
      // What happens between a run and the next is nobody's.
      counting = new Counting(rest);
    } else if ((kind === 'alloc' || kind === 'free') && what === 'device') {
      held = Number(words[4]);
      peak = Math.max(peak, held);
    } else if (kind === 'refuse') own.refused++;
    else counting.add(words);
  }
  return all;
}
