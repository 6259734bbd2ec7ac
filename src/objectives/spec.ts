import { messageOf, shown, UsageError } from '../errors.js';
import { importModule } from '../import-module.js';
import { namedObjective, ObjectiveName, type ObjectiveOptions } from './named.js';
import type { Objective } from './objective.js';
import { checkedObjective } from './own.js';

/** An objective as plain data: by name, or exported by a module. */
export type ObjectiveSpec =
  | { readonly name: string; readonly options?: ObjectiveOptions }
  /** A path, or a `file:` URL. @see ObjectiveModule */
  | { readonly module: string };

/** The exports of a module with a custom objective. */
export interface ObjectiveModule {
  /** Such as from `compose`; identified by its name. */
  readonly objective: Objective;
}

/**
 * The objective of a description; an object of functions is returned as is.
 *
 * @throws {UsageError} for an unknown name, options that the objective does not have, or a module without one.
 */
export async function openObjective(spec: ObjectiveSpec | Objective): Promise<Objective> {
  if ('trace' in spec) return spec;
  if ('module' in spec) return await loadObjective(spec.module);
  const { data: name } = ObjectiveName.safeParse(spec.name);
  if (name === undefined)
    throw new UsageError(
      `objective: expected ${ObjectiveName.options.join('|')}, or a module; got ${shown(spec.name)}`,
    );
  try {
    return namedObjective(name, spec.options);
  } catch (error) {
    throw new UsageError(`objective ${name}: expected options that it has; got ${messageOf(error)}`, { cause: error });
  }
}

async function loadObjective(file: string): Promise<Objective> {
  const exported = await importModule(file);
  if (exported['objective'] !== undefined) return checkedObjective(exported['objective']);
  throw new UsageError(
    `expected a module that exports "objective"; got ${Object.keys(exported).join(', ') || 'no export'} in ${shown(file)}`,
  );
}
