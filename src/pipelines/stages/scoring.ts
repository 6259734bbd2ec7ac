import { availableParallelism } from 'node:os';

import { pipe } from 'rxjs';

import { advantage, AdvantageOptions } from '../../operators/advantage.js';
import { markNonFinite } from '../../operators/training/finite.js';
import { reward } from '../../operators/reward.js';
import { score, ScoreOptions } from '../../operators/score.js';
import { scoreNames } from '../../operators/scoring/score-summary.js';
import { openScorer } from '../../operators/scoring/scorer.js';
import { tally, TallyOptions } from '../../operators/tally.js';
import { writeGallery, writeItems } from '../../report/summary-files.js';
import { loadRewards, RewardStageOptions, rewardModules, scoringOf, weightsOf } from './reward-modules.js';
import { alone, comparable, isAcross, sameStep } from './constraints.js';
import { stage, type Stage } from '../stage.js';
import { writePanels } from '../store/artifacts.js';

/** Stages that reward and score completions. */
export const scoring: readonly Stage[] = [
  stage({
    name: 'reward',
    options: RewardStageOptions,
    needs: ['truth', 'masks', 'formats'],
    adds: ['rewards'],
    paths: ['functions'],
    modules: ({ functions }) => Object.values(functions),
    facts: (options) => ({ rewards: { weights: weightsOf(options), builtIn: scoringOf(options) } }),
    preflight: rewardModules,
    build: async (options, open) => {
      const rewarded = reward(await loadRewards(options), scoringOf(options));
      return open.skipsNonFinite ? rewarded : pipe(rewarded, markNonFinite());
    },
  }),
  stage({
    name: 'tally',
    options: TallyOptions,
    needs: ['image', 'prompts', 'masks', 'rewards'],
    uses: ['segmenter'],
    summarizes: true,
    build: async (options, open) =>
      tally(
        {
          segmenter: await open.segmenter(),
          readImage: open.read,
          rewards: open.fact('rewards')?.value.builtIn ?? {},
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
    facts: () => ({ scores: scoreNames }),
    rules: (_, around) => alone(around),
    build: async (options, open) => {
      const source = open.fact('source')?.value;
      const scorer = await open.shared(
        'scorer',
        () => openScorer(availableParallelism()),
        (one) => one.release(),
      );
      const scoring = {
        set: source?.set ?? 'rows',
        protocol: source?.protocol ?? 'standard',
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
    facts: ({ scale }) =>
      isAcross(scale) ? { acrossRows: { option: 'scale', value: scale, without: 'group or none' } } : {},
    rules: (options, around) => [...comparable(around), ...sameStep(options, around)],
    build: (options, open) => {
      const { weights = weightsOf(RewardStageOptions.parse({})) } = open.fact('rewards')?.value ?? {};
      return advantage({ ...options, weights: options.weights ?? weights });
    },
  }),
];
