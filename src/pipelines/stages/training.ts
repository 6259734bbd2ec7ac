import { join } from 'node:path';

import type { z } from 'zod';

import { messageOf } from '../../errors.js';
import { openAnswers } from '../../io/answer-cache.js';
import { openObjective } from '../../objectives/spec.js';
import { keyFault, openChatServer } from '../../models/server/chat-client.js';
import { promptInputs } from '../../models/vlm/prompt-loss.js';
import { supervisedInputs } from '../../models/vlm/supervised.js';
import { isSkippedStep } from '../../operators/training/finite.js';
import { fit, FitOptions } from '../../operators/fit.js';
import { scheduleFault } from '../../operators/training/schedule.js';
import { isFiltered } from '../../operators/training/dynamic-sampling.js';
import { sft, SftOptions, type ReportStep, type SupervisedInputs } from '../../operators/sft.js';
import { CANCELLED, think, ThinkOptions, type Thinker } from '../../operators/think.js';
import { update } from '../../operators/update.js';
import { UpdateOptions } from '../../operators/training/update-options.js';
import { entropiesTold, ownReference, ownSpread, truncated, unweighed, withinWindow } from './constraints.js';
import { stage, type StageContext, type Refusal, type Stage } from '../stage.js';

/** What is taught, and how the policy learns it. */
export const lessons: readonly Stage[] = [
  stage({
    name: 'fit',
    options: FitOptions,
    needs: ['image', 'truth'],
    adds: ['fitted'],
    cacheable: true,
    uses: ['segmenter'],
    build: async (options, open) => fit(await open.segmenter(), open.read, options),
  }),
  stage({
    name: 'think',
    options: ThinkOptions,
    needs: ['image', 'fitted'],
    adds: ['problem', 'thinking', 'solution'],
    cacheable: true,
    filters: (reason) => reason === CANCELLED,
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
    paths: ['objective.module'],
    preflight: ownObjective,
    filters: (reason) => isSkippedStep(reason) || isFiltered(reason),
    rules: (options, around) => [
      ...withinWindow('groupsPerStep', options.groupsPerStep, around),
      ...entropiesTold(options, around),
      ...ownSpread(options, around),
      ...ownReference(options, around),
      ...scheduled(options),
    ],
    notices: (options, around) => [...truncated(around), ...unweighed(options, around)],
    build: async (options, open) => {
      const policy = await open.trainable();
      const temperature = open.option('rollout', 'temperature');
      return update(policy, open.read, typeof temperature === 'number' ? temperature : 1, stepReport(open), options);
    },
  }),
  stage({
    name: 'sft',
    options: SftOptions,
    needs: ['image', 'fitted'],
    adds: ['step'],
    uses: ['policy'],
    filters: isSkippedStep,
    rules: (options, around) => [...withinWindow('rowsPerStep', options.rowsPerStep, around), ...scheduled(options)],
    build: async (options, open) => {
      const policy = await open.trainable();
      const { config, tokenizer } = policy;
      const learned = options.prompt === 'learned';
      const inputs: SupervisedInputs = (row, prompt, answer) => {
        const { perToken, perPrompt } = supervisedInputs(config, tokenizer, options, row, prompt, answer);
        return { perToken, perPrompt: { ...perPrompt, ...(learned && promptInputs(config, prompt)) } };
      };
      return sft(policy, inputs, open.read, stepReport(open), options);
    },
  }),
];

/** What keeps an objective of one's own from being used. */
async function ownObjective({ objective }: z.output<typeof UpdateOptions>): Promise<readonly Refusal[]> {
  if (typeof objective === 'string') return [];
  try {
    await openObjective(objective);
    return [];
  } catch (error) {
    return [{ option: 'objective', text: messageOf(error) }];
  }
}

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
  { folders, signal }: StageContext,
): Promise<Thinker | undefined> {
  return (
    endpoint && {
      server: openChatServer(endpoint),
      answers: await openAnswers(join(folders.root, 'answers.jsonl')),
      signal,
    }
  );
}
