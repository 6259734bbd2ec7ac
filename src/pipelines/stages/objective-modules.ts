import { z } from 'zod';

import { messageOf, shown, UsageError } from '../../errors.js';
import type { Objective } from '../../objectives/objective.js';
import { ObjectiveName, ownObjective, updateOptions } from '../../operators/training/update-options.js';
import type { PipelineContext, Refusal } from '../stage.js';
import { entropiesTold } from './constraints.js';
import { importModule } from './import-module.js';

/** What a module named as `objective` has to export. */
export interface ObjectiveModule {
  /** Such as `compose` makes; its name tells it from others. */
  readonly objective: Objective;
}

/** Options of `update` in a file: an objective of one's own is the path of a module, relative to the file. */
export const UpdateStageOptions = updateOptions(z.string().regex(/\.[cm]?js$/, { abort: true }));
type UpdateStageOptions = z.output<typeof UpdateStageOptions>;

/** Whether an objective is a module's rather than one by name. */
export function isModule(objective: string): boolean {
  return !ObjectiveName.safeParse(objective).success;
}

/** What keeps the module from being used, if there is one. */
export async function objectiveModule(options: UpdateStageOptions): Promise<readonly Refusal[]> {
  if (!isModule(options.objective)) return [];
  try {
    await opened(options);
    return [];
  } catch (error) {
    return [{ option: 'objective', text: messageOf(error) }];
  }
}

/**
 * The objective that a pipeline names: by its name, or as its module exports it.
 *
 * @throws {UsageError} if the module can't be used, or lacks what it needs of another stage.
 */
export async function loadObjective(
  options: UpdateStageOptions,
  around: PipelineContext,
): Promise<ObjectiveName | Objective> {
  const named = ObjectiveName.safeParse(options.objective);
  if (named.success) return named.data;
  const objective = await opened(options);
  const [fault] = entropiesTold(objective, around);
  if (fault) throw new UsageError(`update.objective: ${fault.text}`);
  return objective;
}

async function opened({ objective: file, reference }: UpdateStageOptions): Promise<Objective> {
  const exported = await importModule(file);
  if (exported['objective'] === undefined)
    throw new UsageError(
      `expected a module that exports "objective"; got ${Object.keys(exported).join(', ') || 'no export'} in ${shown(file)}`,
    );
  return ownObjective(exported['objective'], { reference });
}
