/**
 * One change at a time against the shipped `train`: `node scripts/ablation.mjs [--only NAME] [--max-steps N] [--out
 * runs/ablation]`.
 *
 * Seed 7, 64 answers a step in every run, judged every 40 steps. One JSON line a run, kept in `results.jsonl` of
 * `--out`: what is there is not run again, but for the one
 * that `--only` names. Then a Markdown table.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { judgedAlong, learned, markdown, pipeline, record } from './cli-runs.mjs';

/** Groups of another size: as many answers a step, and as many steps. */
const groups = (group) => {
  const perStep = 64 / group;
  return {
    'rollout.group': group,
    'update.groupsPerStep': perStep,
    window: perStep,
    'load.scenes.count': 120 * perStep,
  };
};

const RUNS = {
  default: {}, // dapo, without KL, groups of 8, the window one step
  'seg-r1': { 'update.objective': 'seg-r1' },
  grpo: { 'update.objective': 'grpo' },
  'dr-grpo': { 'update.objective': 'dr-grpo', 'update.maxTokens': 44 },
  'kl 0.04': { 'update.kl': 0.04 },
  'group 4': groups(4),
  'group 16': groups(16),
  'window 2×': { window: 16 },
  'window 4×': { window: 32 },
};

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    'max-steps': { type: 'string' },
    out: { type: 'string', default: 'runs/ablation' },
  },
});
const { only, out } = values;
if (only !== undefined && !(only in RUNS)) {
  console.error(`--only: expected one of ${Object.keys(RUNS).join(', ')}; got ${only}`);
  process.exit(2);
}
const results = record(join(out, 'results.jsonl'));
if (only !== undefined) results.forget(({ name }) => name === only);
for (const [name, settings] of Object.entries(RUNS)) {
  if ((only !== undefined && name !== only) || results.read().some((known) => known.name === name)) continue;
  const folder = join(out, name.replace('×', 'x').replaceAll(/[^\w.]+/g, '-'));
  const { command, seconds } = pipeline(
    'train',
    folder,
    { seed: 7, evaluate: '{ pipeline: evaluate, every: 40 }', ...settings },
    { maxSteps: values['max-steps'] },
  );
  results.add({ name, ...learned(folder), along: judgedAlong(folder), seconds, command });
}

const known = results.read();
const rows = Object.keys(RUNS)
  .flatMap((name) => known.filter((line) => line.name === name))
  .map(({ name, along, end, gain, error, seconds }) => {
    return [
      name,
      ...[40, 80].map((step) => along[step]?.toFixed(3) ?? '-'),
      end.reward.toFixed(3),
      `${gain.toFixed(3)} ± ${error.toFixed(3)}`,
      end.parsed.toFixed(3),
      end.iou.toFixed(3),
      end.structure.toFixed(3),
      end.hit.toFixed(3),
      seconds.toFixed(0),
    ];
  });
console.log(
  `\n${markdown(['', 'reward at 40', 'at 80', 'at the end', 'gain by scene', 'parsed', 'mask IoU', 'S', 'right object', 'seconds'], rows)}`,
);
