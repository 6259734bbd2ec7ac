import { pathToFileURL } from 'node:url';

import { messageOf, shown, UsageError } from '../errors.js';
import { namedObjective, ObjectiveName, type ObjectiveOptions } from './named.js';
import type { Objective } from './objective.js';

/** An objective as plain data: one by name, or one that a module exports. */
export type ObjectiveSpec =
  | { readonly name: string; readonly options?: ObjectiveOptions }
  /** @see ObjectiveModule */
  | { readonly module: string; readonly options?: unknown };

/** What a module has to export for an objective of one's own. */
export interface ObjectiveModule {
  /** @param options as the caller wrote them. */
  objective(options: unknown): Objective;
}

/**
 * The objective that a description means; an object of functions is one already.
 *
 * @throws {UsageError} for a name that there isn't, options that the objective does not have, or a module without it.
 */
export async function openObjective(spec: ObjectiveSpec | Objective): Promise<Objective> {
  if ('trace' in spec) return spec;
  if ('module' in spec) return (await objectiveModule(spec.module)).objective(spec.options ?? {});
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

/**
 * Loads a module with an objective of one's own.
 *
 * @param file a path, or a `file:` URL.
 * @throws {UsageError} if it does not load, or exports no function `objective`.
 */
export async function objectiveModule(file: string): Promise<ObjectiveModule> {
  let exported: Partial<ObjectiveModule>;
  try {
    exported = (await import(file.startsWith('file:') ? file : pathToFileURL(file).href)) as Partial<ObjectiveModule>;
  } catch (error) {
    throw new UsageError(`expected a module that loads; got ${messageOf(error)} in ${shown(file)}`, { cause: error });
  }
  if (typeof exported.objective === 'function') return exported as ObjectiveModule;
  throw new UsageError(
    `expected a module that exports a function "objective"; got ${Object.keys(exported).join(', ') || 'no export'} in ${shown(file)}`,
  );
}
