import { z } from 'zod';

import { shown, UsageError } from '../../errors.js';
import { commonShape, objectiveFaults, ObjectiveName, ownShape } from '../../objectives/named.js';
import type { Objective } from '../../objectives/objective.js';
import { checkedObjective } from '../../objectives/own.js';
import type { ObjectiveSpec } from '../../objectives/spec.js';
import { OptimizerOptions } from './schedule.js';

const { kl, ...common } = commonShape;

const shape = {
  ...ownShape,
  kl,
  /**
   * Mixes a share of the policy into its reference, every so many steps; 1 replaces it. @see TR-DPO, arXiv:2404.09656
   */
  reference: z
    .strictObject({ every: z.int().min(1).default(512), mix: z.number().gt(0).max(1).default(0.6) })
    .optional(),
  ...common,
  /** Whether completions that were cut off are learned from, or dropped. @see DAPO, arXiv:2503.14476, section 3.4 */
  truncated: z.enum(['learn', 'leave']).default('learn'),
  /** Groups in one optimizer step. */
  groupsPerStep: z.int().min(1).default(8),
  /**
   * Filters groups whose completions all earned the same, and replaces up to this many times `groupsPerStep`. @see
   * DAPO, arXiv:2503.14476, section 3.2
   */
  dynamicSampling: z.int().min(0).optional(),
  /** Filters groups that were written more than this many optimizer steps ago. */
  maxStaleness: z.int().min(0).optional(),
  /** Optimizer steps on the same groups, with the same old probabilities. */
  updatesPerBatch: z.int().min(1).default(1),
};

/** The options of an update whose objective is named, or of another form that the schema takes. */
export function updateOptions<Own extends z.ZodType>(own: Own) {
  return z
    .strictObject({
      ...OptimizerOptions.shape,
      /** The objective: by name, or custom. */
      objective: z.union([ObjectiveName, own]).default('grpo'),
      ...shape,
    })
    .superRefine((options, context) =>
      consistent(options, (path, message) => context.addIssue({ code: 'custom', path: [path], message })),
    );
}

const Numbers = z.strictObject(shape);
type Options = z.output<typeof Numbers> & { readonly objective: unknown };
type Refuse = (path: keyof Options, message: string) => void;

function consistent(options: Options, refuse: Refuse): void {
  const { data: name } = ObjectiveName.safeParse(options.objective);
  if (name === undefined) return ownConsistent(options, refuse);
  for (const { option, text } of objectiveFaults(name, options)) refuse(option, text);
  const { reference, updatesPerBatch } = options;
  if (reference && options.kl === 0) refuse('reference', 'expected kl above 0 beside it; got 0');
  if (name === 'seg-r1' && updatesPerBatch > 1)
    refuse(
      'updatesPerBatch',
      `expected 1 with seg-r1, which has no ratio to hold later steps by; got ${updatesPerBatch}`,
    );
}

/** A custom objective is loaded before. */
function ownConsistent(options: Options, refuse: Refuse): void {
  for (const [name, schema] of Object.entries({ ...ownShape, ...commonShape })) {
    const key = name as keyof typeof ownShape | keyof typeof commonShape;
    if (options[key] !== schema.parse(undefined))
      refuse(key, `expected it in the objective itself, which is one of your own; got ${shown(options[key])}`);
  }
}

/** In code, a custom objective is an `Objective`, such as from `compose`, or the module that exports it. */
export const UpdateOptions = updateOptions(
  z.custom<Objective | { readonly module: string }>((value) => value !== null && typeof value === 'object', {
    abort: true,
  }),
);
export type UpdateOptions = z.input<typeof UpdateOptions>;

/**
 * The objective that the options describe: plain data, except a custom one.
 *
 * @throws {UsageError} naming it, if a custom one gives no loss, or has no KL term although `reference` is set.
 */
export function objectiveSpec(options: z.output<typeof UpdateOptions>): ObjectiveSpec | Objective {
  const { objective } = options;
  if (typeof objective === 'string') {
    const keys = Object.keys({ ...ownShape, ...commonShape }) as (keyof typeof ownShape | keyof typeof commonShape)[];
    return {
      name: objective,
      options: Object.fromEntries(keys.flatMap((key) => (options[key] === undefined ? [] : [[key, options[key]]]))),
    };
  }
  return 'module' in objective ? objective : ownObjective(objective, options);
}

/** @throws {UsageError} naming the objective, as `objectiveSpec`. */
export function ownObjective(value: unknown, { reference }: Pick<Options, 'reference'>): Objective {
  const objective = checkedObjective(value);
  if (reference && objective.kl === 0)
    throw new UsageError(
      `objective ${JSON.stringify(objective.name)}  kl: expected a coefficient above 0 beside reference; got 0`,
    );
  return objective;
}
