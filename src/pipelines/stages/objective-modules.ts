import { z } from 'zod';

import { messageOf, UsageError } from '../../errors.js';
import { ObjectiveName } from '../../objectives/named.js';
import { openObjective } from '../../objectives/spec.js';
import { ownObjective, updateOptions } from '../../operators/training/update-options.js';
import type { PipelineContext, Refusal } from '../stage.js';
import { entropiesTold } from './constraints.js';

/** Options of `update` in a file: a custom objective is the path of a module, relative to the file. */
export const UpdateStageOptions = updateOptions(z.string().regex(/\.[cm]?js$/, { abort: true }));
type UpdateStageOptions = z.output<typeof UpdateStageOptions>;

/** Whether an objective is a module's rather than one by name. */
export function isModule(objective: string): boolean {
  return !ObjectiveName.safeParse(objective).success;
}

/** Why the module cannot be used; undefined without fault. */
export async function objectiveModule(options: UpdateStageOptions): Promise<readonly Refusal[]> {
  if (!isModule(options.objective)) return [];
  try {
    ownObjective(await openObjective({ module: options.objective }), options);
    return [];
  } catch (error) {
    return [{ option: 'objective', text: messageOf(error) }];
  }
}

/**
 * The objective that a pipeline names: by its name, or by the module that exports it.
 *
 * @throws {UsageError} if the module can't be used, or lacks what it needs of another stage.
 */
export async function objectiveOf(
  options: UpdateStageOptions,
  around: PipelineContext,
): Promise<ObjectiveName | { readonly module: string }> {
  const named = ObjectiveName.safeParse(options.objective);
  if (named.success) return named.data;
  const module = options.objective;
  const [fault] = entropiesTold(ownObjective(await openObjective({ module }), options), around);
  if (fault) throw new UsageError(`update.objective: ${fault.text}`);
  return { module };
}
