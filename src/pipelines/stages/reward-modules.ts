import { z } from 'zod';

import { defined } from '../../defined.js';
import { messageOf, shown, UsageError } from '../../errors.js';
import type { RewardFunction, RewardOptions } from '../../operators/reward.js';
import { measured, rewardShape, RewardWeights, USUAL_WEIGHTS } from '../../operators/rewards/options.js';
import type { Masked, Sample } from '../../records.js';
import type { Refusal } from '../stage.js';
import { importModule } from '../../import-module.js';

/** What a custom reward is called with: one row, and its completions, [G] each. */
export interface RewardInput extends Pick<Masked, 'completions' | 'prompts' | 'masks' | 'formats'> {
  readonly sample: Sample;
}

/** What a module named under `functions` has to export. */
export interface RewardModule {
  /** @returns [G], one number a completion; null where it doesn't apply. */
  reward(input: RewardInput): readonly (number | null)[] | Promise<readonly (number | null)[]>;
}

export const RewardStageOptions = z
  .strictObject({
    ...rewardShape,
    weights: RewardWeights.catchall(z.number()).prefault(USUAL_WEIGHTS),
    /** Modules with custom rewards, by their name among the weights; relative to the file. */
    functions: z.record(z.string().min(1), z.string().min(1)).default({}),
  })
  .superRefine(measured)
  .superRefine(named);
type RewardStageOptions = z.output<typeof RewardStageOptions>;

/** Refuses a weight without a function, and a function without a weight or with a name that is taken. */
function named(
  { weights, functions }: { weights: Record<string, unknown>; functions: Record<string, unknown> },
  context: z.RefinementCtx,
): void {
  for (const name of Object.keys(weights)) {
    if (Object.hasOwn(RewardWeights.shape, name) || Object.hasOwn(functions, name)) continue;
    context.addIssue({ code: 'unrecognized_keys', keys: [name], path: ['weights'], input: weights });
  }
  for (const name of Object.keys(functions)) {
    const refuse = (message: string): void => context.addIssue({ code: 'custom', path: ['functions', name], message });
    if (Object.hasOwn(RewardWeights.shape, name)) refuse('expected a name that no part has');
    else if (!Object.hasOwn(weights, name)) refuse(`expected a weight ${JSON.stringify(name)} in weights`);
  }
}

/** The options that `reward` itself takes. */
export function scoringOf({ functions, weights, length, legacy }: RewardStageOptions): RewardOptions {
  const own = Object.entries(weights).filter(([name]) => !Object.hasOwn(functions, name));
  return { weights: Object.fromEntries(own), legacy, ...defined({ length }) };
}

/** Weight of each part of the reward, custom ones too. */
export function weightsOf({ weights }: RewardStageOptions): Record<string, number> {
  return Object.fromEntries(
    Object.entries(weights).filter((entry): entry is [string, number] => entry[1] !== undefined),
  );
}

/** Why modules cannot be used, by name. */
export async function rewardModules({ functions }: RewardStageOptions): Promise<readonly Refusal[]> {
  const found = Object.entries(functions).map(async ([name, file]) => {
    try {
      await opened(file);
      return [];
    } catch (error) {
      return [{ option: `functions.${name}`, text: messageOf(error) }];
    }
  });
  return (await Promise.all(found)).flat();
}

/**
 * The rewards that the modules export, with their weights.
 *
 * @throws {UsageError} if a module does not load, or exports no function `reward`.
 */
export async function loadRewards({ functions, weights }: RewardStageOptions): Promise<RewardFunction[]> {
  const modules = Object.entries(functions).map(async ([name, file]): Promise<RewardFunction> => {
    const module = await opened(file);
    const score = (row: Masked): ReturnType<RewardModule['reward']> => {
      const { completions, prompts, masks, formats } = row;
      return module.reward({ completions, prompts, masks, formats, sample: row });
    };
    return { name, weight: weights[name] ?? 0, module: file, score };
  });
  return await Promise.all(modules);
}

async function opened(file: string): Promise<RewardModule> {
  const exported: Partial<RewardModule> = await importModule(file);
  if (typeof exported.reward === 'function') return exported as RewardModule;
  throw new UsageError(
    `expected a module that exports a function "reward"; got ${Object.keys(exported).join(', ') || 'no export'} in ${shown(file)}`,
  );
}
