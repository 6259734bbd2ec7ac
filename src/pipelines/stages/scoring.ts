import { availableParallelism } from 'node:os';
import { basename } from 'node:path';

import { pipe } from 'rxjs';

import { advantage, AdvantageOptions } from '../../operators/advantage.js';
import { markNonFinite } from '../../operators/training/finite.js';
import { reward, type RewardOptions } from '../../operators/reward.js';
import { score, ScoreOptions } from '../../operators/score.js';
import { openScorer } from '../../operators/scoring/scorer.js';
import { tally, TallyOptions } from '../../operators/tally.js';
import { writeGallery, writeItems } from '../../report/summary-files.js';
import { loadRewards, RewardStageOptions, rewardModules, rewardWeights, scoringOf } from './reward-modules.js';
import { alone, comparable, sameStep } from './constraints.js';
import { stage, type StageContext, type Stage } from '../stage.js';
import { writePanels } from '../store/artifacts.js';

/** What answers are worth. */
export const judging: readonly Stage[] = [
  stage({
    name: 'reward',
    options: RewardStageOptions,
    needs: ['truth', 'masks', 'formats'],
    adds: ['rewards'],
    paths: ['functions'],
    preflight: rewardModules,
    build: async (options, open) => {
      const rewarded = reward(await loadRewards(options), scoringOf(options));
      return open.stages.includes('update') ? rewarded : pipe(rewarded, markNonFinite());
    },
  }),
  stage({
    name: 'tally',
    options: TallyOptions,
    needs: ['image', 'prompts', 'masks', 'rewards'],
    uses: ['segmenter'],
    build: async (options, open) =>
      tally(
        {
          segmenter: await open.segmenter(),
          readImage: open.read,
          rewards: rewarding(open),
          memory: { remember: (keep) => open.keepState('tally', keep), window: open.settings.window },
          reader: {
            row: (id, values) => open.emit({ kind: 'counted', id, values }),
            constants: (constants) => open.emit({ kind: 'baseline', constants }),
            done: (counted) => open.emit({ kind: 'tally', tally: counted }),
            overlays: (panels) => writePanels(open.folder, panels),
          },
        },
        options,
      ),
  }),
  stage({
    name: 'score',
    options: ScoreOptions,
    needs: ['image', 'truth', 'prompts', 'masks'],
    adds: ['scores'],
    rules: (_, around) => alone(around),
    build: async (options, open) => {
      const scorer = await open.shared(
        'scorer',
        () => openScorer(availableParallelism()),
        (one) => one.release(),
      );
      const scoring = {
        set: setName(open),
        protocol: open.option('load', 'protocol') === 'legacy' ? 'legacy' : 'standard',
        seed: open.settings.seed,
      } as const;
      return score(
        {
          scorer,
          readImage: open.read,
          scoring,
          done: async ({ scores, items, panels }) => {
            await writeItems(open.folder, items);
            open.emit({ kind: 'scores', scores, gallery: await writeGallery(open.folder, panels) });
          },
        },
        options,
      );
    },
  }),
  stage({
    name: 'advantage',
    options: AdvantageOptions,
    needs: ['rewards'],
    adds: ['advantages'],
    rules: (options, around) => [...comparable(around), ...sameStep(options, around)],
    build: (options, open) => advantage({ ...options, weights: { ...rewardWeights(open), ...options.weights } }),
  }),
];

/** What people call the rows of `load`: set and split, kind of scenes, or the folder of the images. */
function setName({ option }: StageContext): string {
  const [set, split, scenes, images] = ['set', 'split', 'scenes', 'images'].map((key) => option('load', key));
  if (typeof set === 'string')
    return set === 'jsonl' || set === 'coco'
      ? basename(String(option('load', 'root')))
      : `${set}/${typeof split === 'string' ? split : 'test'}`;
  if (scenes !== null && typeof scenes === 'object' && 'kind' in scenes) return `scenes/${String(scenes.kind)}`;
  return basename(String([images].flat()[0]));
}

/** What the stage `reward` was told; its defaults where there is none. */
function rewarding({ option }: StageContext): RewardOptions {
  const [weights, length, legacy, functions] = ['weights', 'length', 'legacy', 'functions'].map((key) =>
    option('reward', key),
  );
  return scoringOf(RewardStageOptions.parse({ weights, length, legacy, functions }));
}
