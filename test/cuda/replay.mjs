/**
 * Asks a CUDA device what recorded engines were asked, with zeros for all values: `node replay.mjs FOLDER`. Started by replay.ts, on the stand-in.
 *
 * FOLDER has `cases.json`, and beside it the graphs and a copy of onnxruntime-node with the CUDA provider. One JSON line a case; marks go into the stand-in's log.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { placed } from '../../dist/tensor/onnx.js';

const [, , folder, runtime] = process.argv;
const ort = createRequire(join(runtime, 'anything.js'))('onnxruntime-node');
const { cases, repeat } = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8'));

const ARRAYS = { float32: Float32Array, bfloat16: Uint16Array, float16: Uint16Array, int64: BigInt64Array, bool: Uint8Array };
const count = (sizes) => sizes.reduce((product, size) => product * size, 1);
const mark = (...words) => appendFileSync(process.env.STANDIN_LOG, `mark ${words.join(' ')}\n`);

function openSession(bytes, files, careful) {
  return ort.InferenceSession.create(bytes, {
    executionProviders: ['cuda'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    enableMemPattern: false,
    logSeverityLevel: careful ? 1 : 4,
    extra: {
      session: {
        set_denormal_as_zero: '1',
        intra_op: { allow_spinning: '0' },
        use_device_allocator_for_initializers: '1',
        disable_cpu_ep_fallback: careful ? '0' : '1',
        ...(files === undefined ? {} : { model_external_initializers_file_folder_path: files }),
      },
      optimization: { disable_specified_optimizers: 'EliminateIdentity' },
    },
  });
}

/** One engine, as far as its calls reach. */
function engine() {
  const sets = new Map();
  const sessions = new Map();
  const held = (names, input) => names.map((name) => sets.get(name)?.get(input)).find((value) => value !== undefined);
  const put = (set, name, value) => sets.set(set, (sets.get(set) ?? new Map()).set(name, value));
  return {
    frozen: ({ set, names }) => names.forEach((name) => put(set, name, 'frozen')),
    parameters: ({ set, layout }) => layout.entries.forEach(({ name }) => put(set, name, 'fed')),
    async open({ program, sets: from }) {
      // Values mean nothing, so all lie at the same place.
      const places = new Map(program.inputs.flatMap(({ name, dtype }) => (held(from, name) === 'frozen' ? [[name, { file: join(folder, 'zeros'), offset: 0, dtype }]] : [])));
      const { bytes, folder: files } = placed({ ...program, bytes: readFileSync(join(folder, program.file)) }, places);
      mark('open', program.name);
      try {
        sessions.set(program.name, { program, places, session: await openSession(bytes, files ?? program.folder, false) });
      } catch (error) {
        if (!/fallback to CPU EP/.test(error.message)) throw error;
        // Once more, and what is printed then says which nodes.
        await openSession(bytes, files ?? program.folder, true).then((session) => session.release());
        throw error;
      }
      mark('opened');
    },
    async run({ program: name, sets: from, feeds }) {
      const { program, places, session } = sessions.get(name);
      const fed = program.inputs.filter((input) => !places.has(input.name)).map(({ name: input, dtype, sizes }) => {
        if (feeds[input] === undefined && held(from, input) === undefined && !input.startsWith('sum:')) throw new Error(`expected a value for ${input}; got none`);
        return [input, new ort.Tensor(dtype, new ARRAYS[dtype](count(sizes)), sizes)];
      });
      for (let i = 0; i < repeat; i++) {
        mark('run', name);
        await session.run(Object.fromEntries(fed));
        mark('ran');
      }
    },
    async close({ program: name }) {
      await sessions.get(name)?.session.release();
      sessions.delete(name);
    },
    async release() {
      for (const name of sessions.keys()) await this.close({ program: name });
    },
  };
}

for (const { name, calls } of cases) {
  process.stderr.write(`\n@@ ${name}\n`);
  process.stdout.write(`${JSON.stringify({ begun: name })}\n`);
  mark('case', name);
  const own = engine();
  let error;
  try {
    for (const { kind, ...call } of calls) await own[kind](call);
  } catch (thrown) {
    error = thrown.message;
  }
  await own.release();
  mark('done');
  process.stdout.write(`${JSON.stringify({ done: name, error })}\n`);
}
