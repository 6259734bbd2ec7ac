/**
 * Kills a training run, which is evaluated every two steps, with SIGKILL at drawn moments, resumes it until it is done,
 * and compares it with one that was left alone.
 *
 * node scripts/kill-and-resume.mjs [--kills 20] [--seed 1] [--window 4] [--count 24] [--temperature 0.2]
 *
 * Prints a JSON line; ends with 1 where weights, optimizer, rows, metrics, tallies or the gain differ. A window above
 * the 4 rows of a step is
 * asynchronous: there only the ids of the rows are compared.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, parseArgs } from 'node:util';

import { readRows } from '../dist/io/arrow/shard.js';
import { draws } from '../dist/random.js';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    window: { type: 'string', default: '4' },
    count: { type: 'string', default: '24' },
    temperature: { type: 'string', default: '0.2' },
  },
});
const [kills, seed, window, count, temperature] = [
  values.kills,
  values.seed,
  values.window,
  values.count,
  values.temperature,
].map(Number);
const root = fileURLToPath(new URL('..', import.meta.url));
const place = mkdtempSync(join(tmpdir(), 'segr1-kill-'));
const random = draws('kill', seed);

const models = `policy:    { checkpoint: ${JSON.stringify(join(root, 'data/models/tiny'))}, workers: 2, threads: 1, batch: 4 }
  segmenter: { kind: grabcut, size: 32 }`;
writeFileSync(
  join(place, 'small.yaml'),
  `small:
  seed: 7
  window: ${window}
  checkpoints: { every: 1, keep: 2 }
  evaluate: { pipeline: judge, every: 2 }
  ${models}
  stages:
    - load:      { scenes: { rule: warm, count: ${count} }, frame: 112 }
    - rollout:   { group: 2, maxTokens: 44, temperature: ${temperature} }
    - parse
    - mask
    - reward
    - tally:     { constantBaseline: 6, shuffledImageBaseline: true, overlays: 1 }
    - advantage: { scale: none }
    - update:    { objective: dapo, learningRate: 1.0e-3, groupsPerStep: 4, dynamicSampling: 1, kl: 0.04, reference: { every: 2, mix: 0.5 }, ema: 0.9 }
    - write:     { rowsPerBatch: 3 }
judge:
  ${models}
  stages:
    - load:      { scenes: { rule: warm, count: 4, seed: 1000003 }, frame: 112, shuffle: false }
    - rollout:   { group: 1, maxTokens: 44, temperature: 0 }
    - parse
    - mask
    - reward
    - tally:     { constantBaseline: 2 }
`,
);

/** Starts the program; `moment` is told of each line, and answers when to kill. */
function started(args, moment) {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [join(root, 'dist/cli.js'), 'pipeline', join(place, 'small.yaml'), '--json', ...args],
      { cwd: place },
    );
    let [open, error] = ['', ''];
    const kill = () => void child.kill('SIGKILL');
    const stop = moment?.(kill);
    child.stdout.on('data', (text) => {
      const lines = (open + text).split('\n');
      open = lines.pop();
      for (const line of lines) stop?.said?.(JSON.parse(line));
    });
    child.stderr.on('data', (text) => (error += text));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      stop?.end();
      if (code !== 0 && signal !== 'SIGKILL') reject(new Error(`ended with ${code}: ${error}`));
      else resolve(signal === 'SIGKILL');
    });
  });
}

const within = (kill, most) => setTimeout(() => kill(), random.uniform(0, most));

/** Where a kill may fall; each gives what to call with every line, and at the end. */
const moments = {
  'at any time': (length) => (kill) => {
    const timer = within(kill, length);
    return { end: () => clearTimeout(timer) };
  },
  'behind a step': () => (kill) => {
    let timer;
    return {
      said: ({ kind }) => void (kind === 'step' && random.uniform() < 0.5 && (timer ??= within(kill, 600))),
      end: () => clearTimeout(timer),
    };
  },
  'in a checkpoint': () => (kill) => {
    const look = setInterval(() => {
      if (!readdirSync(join(place, 'killed/checkpoints')).some((name) => name.includes('.making'))) return;
      clearInterval(look);
      within(kill, 120);
    }, 1);
    return { end: () => clearInterval(look) };
  },
  'in a shard': () => (kill) => {
    const rows = join(place, 'killed/rows');
    let before;
    const look = setInterval(() => {
      const partial = readdirSync(rows).filter((name) => name.endsWith('.partial'));
      const bytes = partial.reduce(
        (sum, name) => sum + (statSync(join(rows, name), { throwIfNoEntry: false })?.size ?? 0),
        0,
      );
      if (before !== undefined && bytes > before && random.uniform() < 0.4) kill();
      before = bytes;
    }, 1);
    return { end: () => clearInterval(look) };
  },
  'in an evaluation': () => (kill) => {
    let timer;
    return {
      said: ({ kind, when, report }) =>
        void (
          kind === 'evaluation' &&
          when.startsWith('step-') &&
          report.kind === 'start' &&
          (timer ??= within(kill, 400))
        ),
      end: () => clearTimeout(timer),
    };
  },
  'behind a checkpoint': () => (kill) => {
    let timer;
    return {
      said: ({ kind }) => void (kind === 'checkpoint' && (timer ??= within(kill, 50))),
      end: () => clearTimeout(timer),
    };
  },
};

/** What a finished run left, as far as it must be the same. */
async function left(run) {
  const [last] = readdirSync(join(run, 'checkpoints'))
    .filter((name) => /^step-\d+$/.test(name))
    .toSorted((a, b) => Number(b.slice(5)) - Number(a.slice(5)));
  const rows = [];
  for await (const row of readRows(join(run, 'rows'))) rows.push(row);
  const lines = readFileSync(join(run, 'metrics/metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return {
    weights: [last, readFileSync(join(run, 'checkpoints', last, 'model.safetensors')).toString('base64')],
    average: readFileSync(join(run, 'checkpoints', last, 'ema/model.safetensors')).toString('base64'),
    optimizer: readFileSync(join(run, 'checkpoints', last, 'optimizer.safetensors')).toString('base64'),
    rows,
    metrics: lines.map(({ step, metrics }) => [step, metrics]),
    tally: readFileSync(join(run, 'summary.json'), 'utf8'),
    gain: readFileSync(join(run, 'gain.json'), 'utf8'),
  };
}

const began = performance.now();
await started(['--run', 'alone']);
const length = performance.now() - began;

// The first start may be killed only once there is a run to go on with.
const done = {};
const same = {};
let ends = 0;
let over = false;
for (let runs = 0; Object.values(done).reduce((sum, n) => sum + n, 0) < kills; runs++) {
  if (over) {
    rmSync(join(place, 'killed'), { recursive: true });
    over = false;
  }
  const begun = readdirSync(place).includes('killed');
  const name = begun ? Object.keys(moments)[random.integer(0, Object.keys(moments).length)] : 'behind a step';
  const killed = await started(['--run', 'killed', ...(begun ? ['--resume'] : [])], moments[name](length));
  if (killed) done[name] = (done[name] ?? 0) + 1;
  over = !killed;
  if (over) await compared();
}
if (!over) {
  await started(['--run', 'killed', '--resume']);
  await compared();
}

/** Compares a run that reached its end with the one that was left alone. */
async function compared() {
  const [alone, killed] = [await left(join(place, 'alone')), await left(join(place, 'killed'))];
  ends++;
  const ids = ({ rows }) => rows.map(({ id }) => id).toSorted();
  const found =
    window > 4
      ? { ids: isDeepStrictEqual(ids(alone), ids(killed)) }
      : Object.fromEntries(Object.keys(alone).map((key) => [key, isDeepStrictEqual(alone[key], killed[key])]));
  for (const [key, equal] of Object.entries(found)) same[key] = (same[key] ?? true) && equal;
}

const equal = Object.values(same).every(Boolean);
console.log(
  JSON.stringify({
    kills: done,
    seed,
    window,
    rows: count,
    temperature,
    ends,
    same,
    seconds: Math.round((performance.now() - began) / 1000),
  }),
);
if (equal) rmSync(place, { recursive: true });
else console.error(place);
process.exitCode = equal ? 0 : 1;
