/**
 * Seg-R1's recipe on the small policy: `node scripts/recipe.mjs [--seeds 7,8,9] [--ways 'RL alone;…'] [--max-steps N]
 * [--out runs/recipe]`.
 *
 * Three ways a seed, each judged before and after its reinforcement on scenes that are held out: reinforcement alone
 * and behind a cold start,
 * both from `data/models/tiny`, and everything from random weights. One JSON line a way and seed, kept in
 * `results.jsonl` of `--out`: what is there
 * is not run again. Then a Markdown table.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { checkpointOf, judged, learned, markdown, pipeline, program, record } from './cli-runs.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '7,8,9' },
    ways: { type: 'string' },
    'max-steps': { type: 'string' },
    out: { type: 'string', default: 'runs/recipe' },
  },
});
const options = { maxSteps: values['max-steps'] };
const TINY = 'data/models/tiny';

/** Stages from nothing whose policy is judged as well, before reinforcement is. */
const ALONG = ['start', 'look', 'choose', 'pretrain'];

/** Each gives its stages in the order in which they ran, the last being `train`. */
const WAYS = {
  'RL alone': (seed, at) => [pipeline('train', at('train'), { seed }, options)],
  'SFT, then RL': (seed, at) => {
    const sft = pipeline('sft', at('sft'), { seed, 'policy.checkpoint': TINY }, options);
    return [sft, pipeline('train', at('train'), { seed, 'policy.checkpoint': checkpointOf(at('sft')) }, options)];
  },
  'from nothing': (seed, at) => {
    const lesson = (name, start, scenes) => [
      pipeline('fit', at(`fit-${name}`), {
        seed,
        'load.scenes.kind': scenes,
        'load.scenes.count': 4000,
        'load.scenes.seed': seed,
        'fit.think': "'{place} {name}'",
        'segmenter.threads': 2,
      }),
      pipeline(
        name,
        at(name),
        { seed, 'policy.checkpoint': start, 'replay.rows': at(`fit-${name}`) },
        { ...options, file: here('recipe.yaml') },
      ),
    ];
    const judge = (name, checkpoint) => pipeline('evaluate', at(`judge-${name}`), { 'policy.checkpoint': checkpoint });
    const start = {
      command: `node scripts/start-tiny.mjs ${at('start')} ${seed}`,
      seconds: program(here('start-tiny.mjs'), [at('start'), String(seed)]),
    };
    const look = lesson('look', at('start'), 'main');
    const choose = lesson('choose', checkpointOf(at('look')), 'pick');
    const pretrain = pipeline(
      'pretrain',
      at('pretrain'),
      { seed, 'policy.checkpoint': checkpointOf(at('choose')), 'load.scenes.count': 240 },
      options,
    );
    for (const stage of ALONG) judge(stage, stage === 'start' ? at(stage) : checkpointOf(at(stage)));
    return [
      start,
      ...look,
      ...choose,
      pretrain,
      pipeline('train', at('train'), { seed, 'policy.checkpoint': checkpointOf(at('pretrain')) }, options),
    ];
  },
};

const seeds = values.seeds.split(',').map(Number);
const results = record(join(values.out, 'results.jsonl'));
for (const seed of seeds) {
  for (const [way, stages] of Object.entries(WAYS)) {
    if (values.ways && !values.ways.split(';').includes(way)) continue;
    if (results.read().some((known) => known.way === way && known.seed === seed)) continue;
    const folder = join(values.out, `${way.replaceAll(/\W+/g, '-')}-${seed}`);
    const ran = stages(seed, (stage) => join(folder, stage));
    const along = way === 'from nothing' && {
      along: Object.fromEntries(ALONG.map((stage) => [stage, judged(join(folder, `judge-${stage}`))])),
    };
    results.add({
      way,
      seed,
      ...learned(join(folder, 'train')),
      ...along,
      seconds: Math.round(ran.reduce((sum, stage) => sum + stage.seconds, 0)),
      stages: ran,
    });
  }
}

/** Mean and standard deviation over seeds. */
function over(numbers, digits = 3) {
  const mean = numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
  const spread = Math.sqrt(numbers.reduce((sum, x) => sum + (x - mean) ** 2, 0) / Math.max(1, numbers.length - 1));
  return `${mean.toFixed(digits)}${numbers.length > 1 ? ` ± ${spread.toFixed(digits)}` : ''}`;
}

const rows = Object.keys(WAYS).flatMap((way) => {
  const runs = results.read().filter((line) => line.way === way && seeds.includes(line.seed));
  if (runs.length === 0) return [];
  const cell = (of, digits) => over(runs.map(of), digits);
  const { constant } = runs[0];
  return [
    [
      way,
      cell(({ start }) => start.reward),
      cell(({ end }) => end.reward),
      cell(({ end }) => end.parsed),
      cell(({ end }) => end.iou),
      cell(({ end }) => end.structure),
      cell(({ end }) => end.hit),
      constant.toFixed(3),
      cell(({ seconds }) => seconds, 0),
      String(runs.length),
    ],
  ];
});
console.log(
  `\n${markdown(['', 'reward before RL', 'after', 'parsed', 'mask IoU', 'S', 'right object', 'best constant answer', 'seconds', 'seeds'], rows)}`,
);

const nothing = results.read().filter((line) => line.way === 'from nothing' && seeds.includes(line.seed));
if (nothing.length > 0) {
  const after = [...ALONG.map((stage) => [stage, ({ along }) => along[stage]]), ['train', ({ end }) => end]];
  const cells = (of) =>
    ['reward', 'parsed', 'iou', 'structure', 'hit'].map((name) => over(nothing.map((line) => of(line)[name])));
  console.log(
    `\n${markdown(
      ['from nothing, behind', 'reward', 'parsed', 'mask IoU', 'S', 'right object'],
      after.map(([stage, of]) => [stage, ...cells(of)]),
    )}`,
  );
}
