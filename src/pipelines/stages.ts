import { basename } from 'node:path';

import { z } from 'zod';

import { rowSchema } from '../io/columns.js';
import { openShards } from '../io/shard.js';
import { advantage, AdvantageOptions } from '../operators/advantage.js';
import { fit, FitOptions } from '../operators/fit.js';
import { countRows, load, LoadOptions } from '../operators/load.js';
import { mask, MaskOptions } from '../operators/mask.js';
import { parse, ParseOptions } from '../operators/parse.js';
import { reward, RewardOptions } from '../operators/reward.js';
import { write, WriteOptions } from '../operators/write.js';
import { comparable, refusedBy } from './rules.js';
import { stage, type Open, type Stage } from './stage.js';

// The seed and what is tolerated are the whole pipeline's.
const { seed: _seed, tolerate: _tolerate, ...loadShape } = LoadOptions.shape;
const LoadStageOptions = z.strictObject(loadShape).superRefine((options, context) => {
  for (const issue of LoadOptions.safeParse(options).error?.issues ?? []) context.addIssue({ code: 'custom', path: issue.path, message: issue.message });
});

const table: readonly Stage[] = [
  stage({
    name: 'load',
    kind: 'source',
    options: LoadStageOptions,
    adds: ({ scenes, masks, instruction }) => [
      'id',
      'image',
      'task',
      'frame',
      'original',
      ...(scenes || masks ? ['truth'] : []),
      ...(scenes ? ['candidates'] : []),
      ...(instruction === undefined ? [] : ['instruction']),
    ],
    paths: ['images', 'masks'],
    rows: (options) => countRows(options),
    chooses: (reason) => reason === 'no mask',
    rules: (options) => refusedBy(() => countRows(options)),
    build: (options, open) => load(open.read, { ...options, seed: open.settings.seed, tolerate: Number.MAX_SAFE_INTEGER }, open.credits),
  }),
  stage({
    name: 'parse',
    options: ParseOptions,
    needs: ['completions'],
    adds: ['prompts', 'formats'],
    build: (options) => parse(options),
  }),
  stage({
    name: 'mask',
    options: MaskOptions,
    needs: ['image', 'prompts'],
    adds: ['masks'],
    uses: ['segmenter'],
    build: async (options, open) => mask(await open.segmenter(), open.read, options),
  }),
  stage({
    name: 'reward',
    options: RewardOptions,
    needs: ['truth', 'masks', 'formats'],
    adds: ['rewards'],
    build: (options) => reward([], options),
  }),
  stage({
    name: 'advantage',
    options: AdvantageOptions,
    needs: ['rewards'],
    adds: ['advantages'],
    rules: (_, around) => comparable(around),
    build: (options) => advantage(options),
  }),
  stage({
    name: 'fit',
    options: FitOptions,
    needs: ['image', 'truth'],
    adds: ['fitted'],
    uses: ['segmenter'],
    build: async (options, open) => fit(await open.segmenter(), open.read, options),
  }),
  stage({
    name: 'write',
    kind: 'sink',
    options: WriteOptions,
    needs: ['id'],
    build: async (options, open) => {
      const opened = () => openShards(open.folders.rows, rowSchema(rewardParts(open), metadata(open)), options);
      return write(await open.shared('rows', opened, (sink) => sink.close()));
    },
  }),
];

/** The stages that a pipeline may name, in stream order. */
export const stages: ReadonlyMap<string, Stage> = new Map(table.map((entry) => [entry.name, entry]));

/** Parts of the reward that have a column: those of a stage that names its weights. */
function rewardParts({ option }: Open): readonly string[] {
  const weights = option('reward', 'weights');
  return weights !== null && typeof weights === 'object' ? Object.keys(weights) : [];
}

/** What a shard says of the run that wrote it. */
function metadata({ config, folders, settings, option }: Open): Record<string, string> {
  return { run: basename(folders.root), seed: String(settings.seed), config, frame: JSON.stringify(option('load', 'frame') ?? null) };
}
