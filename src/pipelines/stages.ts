import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';

import { z } from 'zod';

import { messageOf } from '../errors.js';
import { openAnswers } from '../io/answer-cache.js';
import { rowSchema } from '../io/columns.js';
import { openShards } from '../io/shard.js';
import { keyFault, openChatServer } from '../models/chat-server.js';
import { learningPrompts, promptInputs } from '../models/qwen/prompt-loss.js';
import { supervisedGraph, supervisedInputs } from '../models/qwen/supervised.js';
import { objectiveGraph, type TrainGraph } from '../models/qwen/train.js';
import { advantage, AdvantageOptions } from '../operators/advantage.js';
import { answer, AnswerOptions } from '../operators/answer.js';
import { isLeftOut } from '../operators/finite.js';
import { fit, FitOptions } from '../operators/fit.js';
import { scheduleFault } from '../operators/learning.js';
import { countRows, load, LoadOptions } from '../operators/load.js';
import { mask, MaskOptions } from '../operators/mask.js';
import { parse, ParseOptions } from '../operators/parse.js';
import { isPassedOver } from '../operators/passed-over.js';
import { MARKED, replay, replayable, ReplayOptions } from '../operators/replay.js';
import { reward, type RewardOptions } from '../operators/reward.js';
import { partsOf } from '../operators/rewards/options.js';
import { rollout, RolloutOptions } from '../operators/rollout.js';
import { score, ScoreOptions } from '../operators/score.js';
import { scoreNames } from '../operators/score-summary.js';
import { openScorer } from '../operators/scorer.js';
import { tally, TallyOptions } from '../operators/tally.js';
import { sft, SftOptions, type ReportStep, type Supervision } from '../operators/sft.js';
import { CANCELLED, think, ThinkOptions, type Thinker } from '../operators/think.js';
import { update } from '../operators/update.js';
import { UpdateOptions } from '../operators/update-options.js';
import { write, WriteOptions } from '../operators/write.js';
import { writeGallery, writeItems } from '../report/summary-files.js';
import { loadRewards, RewardStageOptions, rewardModules, rewardWeights, scoringOf } from './rewards.js';
import { alone, comparable, entropiesTold, ownReference, ownSpread, refusedBy, sameStep, truncated, withinWindow } from './rules.js';
import { stage, type Open, type Refusal, type Stage } from './stage.js';
import { writePanels } from './tally-files.js';

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
    adds: ({ scenes, set, benchmark, masks, instruction }) => [
      'id',
      'image',
      'task',
      'frame',
      'original',
      ...(scenes || set || masks ? ['truth'] : []),
      ...(set === 'reasonseg' ? ['ignore'] : []),
      ...(scenes ? ['candidates'] : []),
      ...(instruction === undefined && !set && !benchmark ? [] : ['instruction']),
      ...(benchmark ? ['question'] : []),
    ],
    paths: ['images', 'masks', 'root'],
    rows: (options) => countRows(options),
    chooses: (reason) => reason === 'no mask',
    rules: (options) => refusedBy(() => countRows(options)),
    resumes: true,
    build: (options, open) => load(open.read, { ...options, seed: open.settings.seed, tolerate: Number.MAX_SAFE_INTEGER }, open.credits, open.resumed),
  }),
  stage({
    name: 'replay',
    kind: 'source',
    options: ReplayOptions,
    adds: ({ columns }) => ['id', 'image', 'task', 'frame', 'original', ...columns],
    paths: ['rows'],
    chooses: (reason) => reason === MARKED,
    preflight: (options) => refusedRows(options),
    build: (options, open) => replay(options, open.settings.seed, open.credits),
  }),
  stage({
    name: 'rollout',
    options: RolloutOptions,
    needs: ['image'],
    adds: ['prompt', 'promptTokens', 'completions', 'policyVersion'],
    uses: ['policy'],
    build: async (options, open) => rollout(await open.policy(), open.read, open.settings.seed, options),
  }),
  stage({
    name: 'parse',
    options: ParseOptions,
    needs: ['completions'],
    adds: ['prompts', 'formats'],
    build: (options) => parse(options),
  }),
  stage({
    name: 'answer',
    options: AnswerOptions,
    needs: ['question', 'completions'],
    adds: ['answer', 'correct'],
    rules: (_, around) => alone(around),
    build: (_, open) => answer((result) => open.report({ kind: 'benchmark', result })),
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
    options: RewardStageOptions,
    needs: ['truth', 'masks', 'formats'],
    adds: ['rewards'],
    paths: ['functions'],
    preflight: rewardModules,
    build: async (options) => reward(await loadRewards(options), scoringOf(options)),
  }),
  stage({
    name: 'tally',
    options: TallyOptions,
    needs: ['image', 'prompts', 'masks', 'rewards'],
    uses: ['segmenter'],
    build: async (options, open) =>
      tally(
        await open.segmenter(),
        open.read,
        rewarding(open),
        {
          row: (id, values) => open.report({ kind: 'counted', id, values }),
          constants: (constants) => open.report({ kind: 'baseline', constants }),
          done: (counted) => open.report({ kind: 'tally', tally: counted }),
          overlays: (panels) => writePanels(open.folders.root, panels),
        },
        options,
        { remember: (keep) => open.remember('tally', keep), window: open.settings.window },
      ),
  }),
  stage({
    name: 'score',
    options: ScoreOptions,
    needs: ['image', 'truth', 'prompts', 'masks'],
    adds: ['scores'],
    rules: (_, around) => alone(around),
    build: async (options, open) => {
      const scorer = await open.shared('scorer', () => openScorer(availableParallelism()), (one) => one.release());
      const scoring = { set: setName(open), protocol: open.option('load', 'protocol') === 'legacy' ? 'legacy' : 'standard', seed: open.settings.seed } as const;
      return score(
        scorer,
        open.read,
        scoring,
        async ({ scores, items, panels }) => {
          await writeItems(open.folders.root, items);
          open.report({ kind: 'scores', scores, gallery: await writeGallery(open.folders.root, panels) });
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
  stage({
    name: 'fit',
    options: FitOptions,
    needs: ['image', 'truth'],
    adds: ['fitted'],
    uses: ['segmenter'],
    build: async (options, open) => fit(await open.segmenter(), open.read, options),
  }),
  stage({
    name: 'think',
    options: ThinkOptions,
    needs: ['image', 'fitted'],
    adds: ['problem', 'thinking', 'solution'],
    chooses: (reason) => reason === CANCELLED,
    rules: ({ endpoint }) => {
      const fault = endpoint && keyFault(endpoint);
      return fault === undefined ? [] : [{ option: 'endpoint.key', text: fault }];
    },
    build: async (options, open) => think(open.read, options, await thinker(options, open)),
  }),
  stage({
    name: 'update',
    options: UpdateOptions,
    needs: ['completions', 'advantages'],
    adds: ['step'],
    uses: ['policy'],
    chooses: (reason) => isLeftOut(reason) || isPassedOver(reason),
    rules: (options, around) => [
      ...withinWindow('groupsPerStep', options.groupsPerStep, around),
      ...entropiesTold(options, around),
      ...ownSpread(options, around),
      ...ownReference(options, around),
      ...scheduled(options),
    ],
    notices: (_, around) => truncated(around),
    build: async (options, open) => {
      const policy = await open.learner();
      const temperature = open.option('rollout', 'temperature');
      return update(policy, objectiveGraph, open.read, typeof temperature === 'number' ? temperature : 1, stepReport(open), options);
    },
  }),
  stage({
    name: 'sft',
    options: SftOptions,
    needs: ['image', 'fitted'],
    adds: ['step'],
    uses: ['policy'],
    chooses: isLeftOut,
    rules: (options, around) => [...withinWindow('rowsPerStep', options.rowsPerStep, around), ...scheduled(options)],
    build: async (options, open) => {
      const policy = await open.learner();
      const { config, tokenizer } = policy;
      const learned = options.prompt === 'learned';
      const graph = supervisedGraph(config, tokenizer, options);
      const supervision: Supervision<TrainGraph> = {
        graph: learned ? learningPrompts(config, graph) : graph,
        inputs: (row, prompt, answer) => {
          const { perToken, perPrompt } = supervisedInputs(config, tokenizer, options, row, prompt, answer);
          return { perToken, perPrompt: { ...perPrompt, ...(learned && promptInputs(config, prompt)) } };
        },
      };
      return sft(policy, supervision, open.read, stepReport(open), options);
    },
  }),
  stage({
    name: 'write',
    kind: 'sink',
    options: WriteOptions,
    needs: ['id'],
    build: async (options, open) => {
      const opened = () => openShards(open.folders.rows, rowSchema(rewardParts(open), metadata(open), open.stages.includes('score') ? scoreNames : []), options, open.resumed?.rowsOut);
      const shards = await open.shared('rows', opened, (sink) => sink.close());
      open.beforeCheckpoint(() => shards.flush());
      return write(shards);
    },
  }),
];

const stepReport = (open: Open): ReportStep => (step, metrics, rows) => open.report({ kind: 'step', step, metrics, rows: rows.map(({ id }) => id) });

function scheduled(options: Parameters<typeof scheduleFault>[0]): readonly Refusal[] {
  const fault = scheduleFault(options);
  return fault === undefined ? [] : [{ option: 'schedule', text: fault }];
}

async function refusedRows(options: ReplayOptions): Promise<readonly Refusal[]> {
  try {
    await replayable(options);
    return [];
  } catch (error) {
    return [{ option: 'rows', text: messageOf(error) }];
  }
}

async function thinker({ endpoint }: z.output<typeof ThinkOptions>, { folders, signal }: Open): Promise<Thinker | undefined> {
  return endpoint && { server: openChatServer(endpoint), answers: await openAnswers(join(folders.root, 'answers.jsonl')), signal };
}

/** The stages that a pipeline may name, in stream order. */
export const stages: ReadonlyMap<string, Stage> = new Map(table.map((entry) => [entry.name, entry]));

/** What people call the rows of `load`: set and split, kind of scenes, or the folder of the images. */
function setName({ option }: Open): string {
  const [set, split, scenes, images] = ['set', 'split', 'scenes', 'images'].map((key) => option('load', key));
  if (typeof set === 'string') return set === 'jsonl' || set === 'coco' ? basename(String(option('load', 'root'))) : `${set}/${typeof split === 'string' ? split : 'test'}`;
  if (scenes !== null && typeof scenes === 'object' && 'kind' in scenes) return `scenes/${String(scenes.kind)}`;
  return basename(String([images].flat()[0]));
}

/** Parts of the reward that have a column: those of a stage that names its weights. */
function rewardParts({ option }: Open): readonly string[] {
  const weights = option('reward', 'weights');
  return weights !== null && typeof weights === 'object' ? partsOf(weights as Record<string, number>) : [];
}

/** What the stage `reward` was told; its defaults where there is none. */
function rewarding({ option }: Open): RewardOptions {
  const [weights, length, legacy, functions] = ['weights', 'length', 'legacy', 'functions'].map((key) => option('reward', key));
  return scoringOf(RewardStageOptions.parse({ weights, length, legacy, functions }));
}

/** What a shard says of the run that wrote it. */
function metadata({ config, folders, settings, option }: Open): Record<string, string> {
  return { run: basename(folders.root), seed: String(settings.seed), config, frame: JSON.stringify(option('load', 'frame') ?? null) };
}
