import type { z } from 'zod';

import { openAnswers } from '../../io/answer-cache.js';
import { keyFault, openChatServer, sendsKeyOpenly } from '../../models/server/chat-client.js';
import { isSkippedStep } from '../../operators/training/finite.js';
import { fit, FitOptions } from '../../operators/fit.js';
import { scheduleFault } from '../../operators/training/schedule.js';
import { isFiltered } from '../../operators/training/dynamic-sampling.js';
import { sft, SftOptions, type ReportStep } from '../../operators/sft.js';
import { CANCELLED, think, ThinkOptions, type Thinker } from '../../operators/think.js';
import { update } from '../../operators/update.js';
import {
  drawnAtAll,
  entropiesTold,
  ownReference,
  ownSpread,
  truncated,
  unweighed,
  withinWindow,
} from './constraints.js';
import { isModule, objectiveModule, objectiveOf, UpdateStageOptions } from './objective-modules.js';
import { stage, type StageContext, type Refusal, type Stage } from '../stage.js';

/** Stages that make labels and train the policy. */
export const training: readonly Stage[] = [
  stage({
    name: 'fit',
    options: FitOptions,
    needs: ['image', 'truth'],
    adds: ['fitted'],
    cacheable: true,
    uses: ['segmenter'],
    indifferent: ['inflight'],
    build: async (options, open) => {
      const coordinates = options.coordinates ?? (await open.coordinates());
      return fit({ segmenter: await open.segmenter(), readImage: open.read }, { ...options, coordinates });
    },
  }),
  stage({
    name: 'think',
    options: ThinkOptions,
    needs: ['image', 'fitted'],
    adds: ['problem', 'thinking', 'solution'],
    cacheable: true,
    indifferent: ['key', 'retries', 'perMinute', 'inflight', 'timeoutSeconds', 'maxPauseSeconds', 'maxBytes'].map(
      (option) => `endpoint.${option}`,
    ),
    filters: (reason) => reason === CANCELLED,
    rules: ({ endpoint }) => {
      const fault = endpoint && keyFault(endpoint);
      return fault === undefined ? [] : [{ option: 'endpoint.key', text: fault }];
    },
    notices: ({ endpoint }) =>
      endpoint && sendsKeyOpenly(endpoint)
        ? [`endpoint.url: expected https:// where a key goes along; got http://, which anybody on the way can read`]
        : [],
    build: async (options, open) => {
      const coordinates = options.coordinates ?? (await open.coordinates());
      return think({ readImage: open.read, thinker: await thinker(options, open) }, { ...options, coordinates });
    },
  }),
  stage({
    name: 'update',
    options: UpdateStageOptions,
    needs: ['completions', 'advantages'],
    adds: ['step'],
    uses: ['policy'],
    updatesPolicy: true,
    skipsNonFinite: true,
    facts: ({ groupsPerStep, updatesPerBatch }) => ({
      rowsPerStep: groupsPerStep,
      stepsPerBatch: updatesPerBatch,
    }),
    paths: ({ objective }) => (isModule(objective) ? ['objective'] : []),
    modules: ({ objective }) => (isModule(objective) ? [objective] : []),
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
      const objective = await objectiveOf(options, open);
      const policy = await open.trainable();
      return update(
        {
          policy,
          readImage: open.read,
          report: stepReport(open),
          ready: open.settled,
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
      return sft({ policy, readImage: open.read, report: stepReport(open) }, options);
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

async function thinker({ endpoint }: z.output<typeof ThinkOptions>, open: StageContext): Promise<Thinker | undefined> {
  return (
    endpoint && {
      server: openChatServer(endpoint, undefined, (text) => open.emit({ kind: 'notice', text })),
      answers: await openAnswers(open.folder.answers),
      signal: open.signal,
    }
  );
}
