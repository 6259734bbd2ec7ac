/**
 * Seconds a step of the default pipeline, and who is at work when: `node bench/train.mjs [STEPS]`.
 *
 * The stages are those of `train` in pipelines.yaml; the models' calls are timed around them. Prints one JSON line:
 * `covered` is the share of wall time in which a rollout, a cut or an update was under way, `overlap` the share with a
 * cut beside a rollout,
 * `cores` the processor time of all threads by the wall time.
 */
import { lastValueFrom, takeUntil, Subject } from 'rxjs';

import { imageReader } from '../dist/io/reader.js';
import { openGrabCut } from '../dist/models/grabcut/segmenter.js';
import { openPolicy } from '../dist/models/policies.js';
import { advantage } from '../dist/operators/advantage.js';
import { load } from '../dist/operators/load.js';
import { mask } from '../dist/operators/mask.js';
import { parse } from '../dist/operators/parse.js';
import { reward } from '../dist/operators/reward.js';
import { rollout } from '../dist/operators/rollout.js';
import { update } from '../dist/operators/update.js';
import { credits, released } from '../dist/streams/credits.js';
import { scoringOf } from '../dist/pipelines/stages/reward-modules.js';
import { readPipeline } from '../dist/pipelines/config/read.js';
import { spread } from './made.mjs';

const WARM = 3;
const STEPS = Number(process.argv[2] ?? 20);
const { settings, stages } = await readPipeline('train');
const options = Object.fromEntries(stages.map((entry) => [entry.name ?? entry.stage.name, entry.options]));

/** Intervals in which a kind of call was under way, in seconds. */
const spans = { rollout: [], mask: [], gradient: [], optimizer: [], load: [] };
const around =
  (kind, call) =>
  async (...args) => {
    const start = performance.now() / 1000;
    try {
      return await call(...args);
    } finally {
      spans[kind].push([start, performance.now() / 1000]);
    }
  };

/** Seconds covered by intervals, those that overlap counted once. */
function covered(intervals, from, to) {
  let end = from;
  let sum = 0;
  for (const [a, b] of intervals.toSorted((x, y) => x[0] - y[0])) {
    const [low, high] = [Math.max(a, end), Math.min(b, to)];
    if (high > low) sum += high - low;
    end = Math.max(end, high);
  }
  return sum;
}

const policy = await openPolicy(settings.policy.checkpoint, {
  workers: settings.policy.workers,
  threads: settings.policy.threads,
  batch: settings.policy.batch,
});
const { kind: _, ...cutting } = settings.segmenter;
const segmenter = await openGrabCut(cutting);
const read = imageReader();
for (const [kind, it, name] of [
  ['rollout', policy, 'generate'],
  ['gradient', policy, 'gradient'],
  ['optimizer', policy, 'step'],
  ['mask', segmenter, 'segment'],
])
  it[name] = around(kind, it[name].bind(it));

const window = credits(settings.window);
const stop = new Subject();
const ends = [];
let started;
const processor = () => Object.values(process.cpuUsage()).reduce((a, b) => a + b) / 1e6;
let used = 0;
const report = (step) => {
  ends.push(performance.now() / 1000);
  if (step === WARM) [started, used] = [ends.at(-1), processor()];
  if (step === WARM + STEPS) stop.next();
};
await lastValueFrom(
  load({ readImage: read, window }, { ...options.load, seed: settings.seed }).pipe(
    takeUntil(stop),
    rollout({ policy, readImage: read, seed: settings.seed }, options.rollout),
    parse(options.parse),
    mask({ segmenter, readImage: read }, options.mask),
    reward([], scoringOf(options.reward)),
    advantage(options.advantage),
    update({ policy, readImage: read, temperature: options.rollout.temperature, report }, options.update),
    released(window),
  ),
);
const last = ends[WARM + STEPS - 1];
const wall = last - started;
const cores = (processor() - used) / wall;
await Promise.all([policy.release(), segmenter.release()]);
const share = (...kinds) =>
  Math.round(
    (covered(
      kinds.flatMap((kind) => spans[kind]),
      started,
      last,
    ) /
      wall) *
      1000,
  ) / 1000;
const both = share('rollout') + share('mask') - share('rollout', 'mask');
console.log(
  JSON.stringify({
    bench: 'train',
    steps: STEPS,
    secondsPerStep: spread(ends.slice(WARM, WARM + STEPS).map((end, i) => end - ends[WARM + i - 1])),
    shares: {
      rollout: share('rollout'),
      mask: share('mask'),
      gradient: share('gradient'),
      optimizer: share('optimizer'),
    },
    covered: share('rollout', 'mask', 'gradient', 'optimizer'),
    overlap: Math.round(both * 1000) / 1000,
    cores: Math.round(cores * 100) / 100,
  }),
);
