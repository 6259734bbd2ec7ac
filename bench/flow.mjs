/**
 * What the streams themselves cost: 100,000 rows through the full operator chain with stub models. `node --expose-gc
 * bench/flow.mjs`.
 *
 * Prints one JSON line: microseconds a row, the most rows in flight, and the heap at each fifth of the run.
 */
import { lastValueFrom, tap } from 'rxjs';

import { advantage } from '../dist/operators/advantage.js';
import { mask } from '../dist/operators/mask.js';
import { parse } from '../dist/operators/parse.js';
import { pulled } from '../dist/streams/pulled.js';
import { reward } from '../dist/operators/reward.js';
import { rollout } from '../dist/operators/rollout.js';
import { update } from '../dist/operators/update.js';
import { write } from '../dist/operators/write.js';
import { credits, released } from '../dist/streams/credits.js';

const ROWS = 100_000;
const WINDOW = 16;
const frame = { width: 16, height: 16 };
const truth = { ...frame, counts: [100, 56, 100] };
const text = '<think> a </think> <bbox>[1,2,10,12]</bbox>, <points>[[5,6]]</points>, <labels>[1]</labels>';
const written = [0, 1].map((s) => ({ tokens: [1, 2, 3 + s], logProbs: [-1, -1, -1], finish: 'stop' }));

const policy = {
  name: 'stub',
  version: 0,
  batch: 4,
  encode: () => ({ text: '', tokens: [1] }),
  decode: () => text,
  generate: async ({ prompts }) => prompts.map(() => written),
  gradient: async () => ({ gradient: new Float32Array(1), metrics: {} }),
  step: async () => (policy.version++, 1),
};
const image = { ...frame, data: new Uint8Array(16 * 16 * 3) };
const segmenter = { name: 'stub', segment: async ({ prompts }) => prompts.map(() => truth), release: async () => {} };
const read = async () => image;

async function* samples() {
  for (let i = 0; i < ROWS; i++)
    yield { id: String(i), image: { path: `${i}.png` }, truth, task: 'stub', frame, original: frame };
}

const window = credits(WINDOW);
const heaps = [];
let rows = 0;
const sink = { append: async () => {}, close: async () => {} };
const start = performance.now();
await lastValueFrom(
  pulled(samples, window).pipe(
    rollout({ policy, readImage: read, seed: 7 }, { group: 2 }),
    parse(),
    mask({ segmenter, readImage: read }, { cacheMegabytes: 1 }),
    reward(),
    advantage(),
    update({ policy, readImage: read, temperature: 1, report: () => {} }, { groupsPerStep: 8 }),
    write(sink),
    released(window),
    tap(() => {
      if (++rows % (ROWS / 5) === 0) {
        globalThis.gc?.();
        heaps.push(Math.round(process.memoryUsage().heapUsed / 1e5) / 10);
      }
    }),
  ),
);
const seconds = (performance.now() - start) / 1000;
console.log(
  JSON.stringify({
    bench: 'flow',
    rows,
    microsecondsPerRow: Math.round((seconds * 1e7) / rows) / 10,
    window: WINDOW,
    peakInFlight: window.peak,
    heapMegabytes: heaps,
  }),
);
