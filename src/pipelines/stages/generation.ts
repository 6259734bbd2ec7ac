import { pipe, tap } from 'rxjs';

import { answer, AnswerOptions } from '../../operators/answer.js';
import { mask, MaskOptions } from '../../operators/mask.js';
import type { Repair } from '../../operators/parse-lenient.js';
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
    adds: ['prompts', 'formats', 'parseReasons'],
    build: async (options, open) => {
      const counted = repairsRead((text) => open.emit({ kind: 'notice', text }));
      const coordinates = options.coordinates ?? (await open.coordinates());
      return pipe(
        parse({ ...options, coordinates }, counted.read, open.fact('source')?.value.protocol),
        tap({ complete: counted.tell }),
      );
    },
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

/** Counts what lenient reading had to overlook, for one sentence at the end. */
function repairsRead(notice: (text: string) => void) {
  const times = new Map<Repair, number>();
  let [all, repaired] = [0, 0];
  return {
    read: (repairs: readonly Repair[]): void => {
      all++;
      if (repairs.length > 0) repaired++;
      for (const repair of repairs) times.set(repair, (times.get(repair) ?? 0) + 1);
    },
    tell: (): void => {
      if (repaired === 0) return;
      const reasons = [...times].toSorted(([, a], [, b]) => b - a).map(([repair, count]) => `${repair} ${count}`);
      notice(`parse  ${repaired} of ${all} completions were read leniently: ${reasons.join(', ')}`);
    },
  };
}
