import { answer, AnswerOptions } from '../../operators/answer.js';
import { mask, MaskOptions } from '../../operators/mask.js';
import { parse, ParseOptions } from '../../operators/parse.js';
import { rollout, RolloutOptions } from '../../operators/rollout.js';
import { alone } from './constraints.js';
import { stage, type Stage } from '../stage.js';

/** Stages that generate, parse and segment. */
export const generation: readonly Stage[] = [
  stage({
    name: 'rollout',
    options: RolloutOptions,
    needs: ['image'],
    adds: ['prompt', 'promptTokens', 'completions', 'policyVersion', 'sampling'],
    cacheable: true,
    uses: ['policy'],
    indifferent: ['inflight'],
    facts: (options) => ({ sampling: options }),
    build: async (options, open) =>
      rollout({ policy: await open.policy(), readImage: open.read, seed: open.settings.seed }, options),
  }),
  stage({
    name: 'parse',
    options: ParseOptions,
    needs: ['completions'],
    adds: ['prompts', 'formats'],
    build: async (options, open) =>
      parse({ ...options, coordinates: options.coordinates ?? (await open.coordinates()) }),
  }),
  stage({
    name: 'answer',
    options: AnswerOptions,
    needs: ['question', 'completions'],
    adds: ['answer', 'correct'],
    rules: (_, around) => alone(around),
    build: (_, open) => answer((result) => open.emit({ kind: 'benchmark', result })),
  }),
  stage({
    name: 'mask',
    options: MaskOptions,
    needs: ['image', 'prompts'],
    adds: ['masks'],
    cacheable: true,
    uses: ['segmenter'],
    indifferent: ['inflight', 'cacheMegabytes'],
    build: async (options, open) => mask({ segmenter: await open.segmenter(), readImage: open.read }, options),
  }),
];
