/**
 * Asks engines on a CUDA device what recorded ones were asked, with zeros for all values: `node replay.mjs FOLDER`.
 * Started by replay.ts, on the stand-in.
 *
 * FOLDER has `cases.json` and the graphs. One JSON line a case; marks between its runs go into the stand-in's log.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { openOnnx } from '../../dist/tensor/onnx/session.js';

const [, , folder] = process.argv;
const { cases, device, repeat } = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8'));

const ARRAYS = {
  float32: Float32Array,
  bfloat16: Uint16Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  bool: Uint8Array,
};
const mark = (...words) => appendFileSync(process.env.STANDIN_LOG, `mark ${words.join(' ')}\n`);
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

/** Does what a call says. */
function replaying(engine) {
  const programs = new Map();
  const kept = new Map();
  const fed = (program, feeds) =>
    Object.fromEntries(
      Object.entries(feeds).map(([name, feed]) => {
        if (typeof feed === 'object') return [name, kept.get(feed.kept)];
        const { dtype } = program.inputs.find((input) => input.name === name) ?? { dtype: 'float32' };
        return [name, new ARRAYS[dtype](feed)];
      }),
    );
  return {
    places: ({ set, places }) => engine.places(set, new Map(places)),
    async parameters({ set, layout }) {
      mark('send', set);
      await engine.parameters(set, layout, new Float32Array(new SharedArrayBuffer(4 * layout.length)));
      mark('sent');
    },
    tensor: ({ set, name, length, half }) =>
      engine.tensor(set, name, half ? new Uint16Array(length) : new Float32Array(length)),
    async open({ program: { file, ...program }, sets }) {
      mark('open', program.name);
      programs.set(program.name, program);
      await engine.openProgram({ ...program, bytes: readFileSync(join(folder, file)) }, sets);
      mark('opened');
    },
    close: ({ name }) => engine.close({ name }),
    async run({ name, sets, feeds, keep, sum, moments }) {
      const program = programs.get(name);
      for (let i = 0; i < repeat; i++) {
        const given = fed(program, feeds);
        mark('run', name);
        const answer = await engine.run(program, given, sets, {
          keep: Object.keys(keep),
          ...(sum && { sum, moments }),
        });
        mark('ran');
        if (i + 1 < repeat) await engine.drop(Object.values(answer.kept ?? {}));
        else for (const [output, value] of Object.entries(answer.kept ?? {})) kept.set(keep[output], value);
      }
    },
    async norm({ set }) {
      mark('run', 'norm');
      await engine.learning.norm(set);
      mark('ran');
    },
    async readInto({ set, from, length }) {
      mark('run', 'readInto');
      await engine.learning.readInto(set, 'gradient', from, new Float32Array(new SharedArrayBuffer(4 * length)));
      mark('ran');
    },
    async step({ set, layout, options }) {
      mark('run', 'step');
      await engine.learning.step(set, layout, options);
      mark('ran');
    },
    drop: ({ kept: numbers }) => engine.drop(numbers.map((number) => kept.get(number))),
  };
}

for (const { name, calls } of cases) {
  tell({ begun: name });
  mark('case', name);
  const engine = openOnnx({ workers: 1, threads: 1, device });
  const replay = replaying(engine);
  let error, memory;
  try {
    for (const { kind, ...call } of calls) await replay[kind](call);
    memory = await engine.memory();
  } catch (thrown) {
    error = thrown.message;
  }
  await engine.release();
  mark('done');
  tell({ done: name, error, memory });
}
