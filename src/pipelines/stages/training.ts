import type { z } from 'zod';

import { openAnswers } from '../../io/answer-cache.js';
import { keyFault, openChatServer } from '../../models/server/chat-client.js';
import { learningPrompts, promptInputs } from '../../models/vlm/prompt-loss.js';
import { supervisedGraph, supervisedInputs } from '../../models/vlm/supervised.js';
import { objectiveGraph, type TrainGraph } from '../../models/vlm/train.js';
import { isSkippedStep } from '../../operators/training/finite.js';
import { fit, FitOptions } from '../../operators/fit.js';
import { scheduleFault } from '../../operators/training/schedule.js';
import { isFiltered } from '../../operators/training/dynamic-sampling.js';
import { sft, SftOptions, type ReportStep, type Supervision } from '../../operators/sft.js';
import { CANCELLED, think, ThinkOptions, type Thinker } from '../../operators/think.js';
import { update } from '../../operators/update.js';
import { UNSAID_TEMPERATURE } from '../../operators/training/temperature.js';
import {
  drawnAtAll,
  entropiesTold,
  ownReference,
  ownSpread,
  truncated,
  unweighed,
  withinWindow,
} from './constraints.js';
import { isModule, loadObjective, objectiveModule, UpdateStageOptions } from './objective-modules.js';
import { stage, type StageContext, type Refusal, type Stage } from '../stage.js';

/** What is taught, and how the policy learns it. */
export const training: readonly Stage[] = [
  stage({
    name: 'fit',
    options: FitOptions,
    needs: ['image', 'truth'],
    adds: ['fitted'],
    cacheable: true,
    uses: ['segmenter'],
    indifferent: ['inflight'],
    build: async (options, open) => fit({ segmenter: await open.segmenter(), readImage: open.read }, options),
  }),
  stage({
    name: 'think',
    options: ThinkOptions,
    needs: ['image', 'fitted'],
    adds: ['problem', 'thinking', 'solution'],
    cacheable: true,
    indifferent: ['endpoint.key', 'endpoint.retries', 'endpoint.perMinute', 'endpoint.inflight'],
    filters: (reason) => reason === CANCELLED,
    rules: ({ endpoint }) => {
      const fault = endpoint && keyFault(endpoint);
      return fault === undefined ? [] : [{ option: 'endpoint.key', text: fault }];
    },
    build: async (options, open) => think({ readImage: open.read, thinker: await thinker(options, open) }, options),
  }),
  stage({
    name: 'update',
    options: UpdateStageOptions,
    needs: ['completions', 'advantages'],
    adds: ['step'],
    uses: ['policy'],
    updatesPolicy: true,
    skipsNonFinite: true,
    facts: ({ groupsPerStep }) => ({ rowsPerStep: groupsPerStep }),
    paths: ({ objective }) => (isModule(objective) ? ['objective'] : []),
    preflight: objectiveModule,
    filters: (reason) => isSkippedStep(reason) || isFiltered(reason),
    rules: (options, around) => [
      ...drawnAtAll(around),
      ...withinWindow('groupsPerStep', options.groupsPerStep, around),
      ...entropiesTold(options, around),
      ...ownSpread(options, around),
      ...ownReference(options, around),
      ...scheduled(options),
    ],
    notices: (options, around) => [...truncated(around), ...unweighed(options, around)],
    build: async (options, open) => {
      const objective = await loadObjective(options, open);
      const policy = await open.trainable();
      return update(
        {
          policy,
          graphOf: objectiveGraph,
          readImage: open.read,
          temperature: UNSAID_TEMPERATURE,
          report: stepReport(open),
        },
        { ...options, objective },
      );
    },
  }),
  stage({
    name: 'sft',
    options: SftOptions,
    needs: ['image', 'fitted'],
    adds: ['step'],
    uses: ['policy'],
    updatesPolicy: true,
    facts: ({ rowsPerStep, patchMask }) => ({ rowsPerStep, patchMask }),
    filters: isSkippedStep,
    rules: (options, around) => [...withinWindow('rowsPerStep', options.rowsPerStep, around), ...scheduled(options)],
    build: async (options, open) => {
      const policy = await open.trainable();
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
      return sft({ policy, supervision, readImage: open.read, report: stepReport(open) }, options);
    },
  }),
];

const stepReport =
  (open: StageContext): ReportStep =>
  (step, metrics, rows, tokens) =>
    open.emit({ kind: 'step', step, metrics, rows: rows.map(({ id }) => id), tokens });

function scheduled(options: Parameters<typeof scheduleFault>[0]): readonly Refusal[] {
  const fault = scheduleFault(options);
  return fault === undefined ? [] : [fault];
}

async function thinker(
  { endpoint }: z.output<typeof ThinkOptions>,
  { folder, signal }: StageContext,
): Promise<Thinker | undefined> {
  return (
    endpoint && {
      server: openChatServer(endpoint),
      answers: await openAnswers(folder.answers),
      signal,
    }
  );
}
