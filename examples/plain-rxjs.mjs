/**
 * The training loop in plain RxJS, with an operator of one's own in the chain.
 *
 * usage: node examples/plain-rxjs.mjs [CHECKPOINT] [STEPS]      (after npm run build; writes nothing)
 */
import { map, tap } from 'rxjs';
import {
  advantage,
  credits,
  imageReader,
  load,
  mask,
  openGrabCut,
  openPolicy,
  parse,
  released,
  reward,
  rollout,
  update,
} from 'segr1';

const [checkpoint = 'data/models/tiny', steps = '2'] = process.argv.slice(2);
const SEED = 7;
const GROUPS = 8;

/** Marks groups whose mean reward is over `limit`: the policy has nothing more to learn from them. */
const easy = (limit) =>
  map((row) => {
    if (row.skipped) return row;
    const mean = row.rewards.total.reduce((sum, value) => sum + value, 0) / row.rewards.total.length;
    return mean > limit ? { ...row, skipped: { stage: 'easy', reason: 'too easy' } } : row;
  });

const policy = await openPolicy(checkpoint, { workers: 1, threads: 2, batch: 4 });
const segmenter = await openGrabCut({ size: 64 });
const read = imageReader();
const window = credits(GROUPS);
const counts = { in: 0, out: 0, easy: 0, steps: 0 };

const report = (step, metrics) => {
  counts.steps = step;
  console.log(`step ${step}  reward ${metrics.reward.toFixed(3)}  right object ${metrics['answer/hit'].toFixed(2)}`);
};

const rows = load(
  { readImage: read, window },
  { scenes: { rule: 'warm', count: GROUPS * Number(steps) }, frame: 112, seed: SEED },
).pipe(
  tap(() => counts.in++),
  rollout({ policy, readImage: read, seed: SEED }, { group: 4, maxTokens: 44 }),
  parse(),
  mask({ segmenter, readImage: read }),
  reward(),
  easy(1.6),
  advantage({ scale: 'none' }),
  update({ policy, readImage: read, report }, { objective: 'dapo', learningRate: 3e-4, groupsPerStep: GROUPS }),
  // Without this the window stays full and the source stands still.
  released(window),
);

try {
  // Marked rows go through like the others, so what went in comes out.
  await rows.forEach((row) => {
    counts.out++;
    if (row.skipped?.stage === 'easy') counts.easy++;
  });
  console.log(JSON.stringify(counts));
} finally {
  await policy.release();
  await segmenter.release();
}
