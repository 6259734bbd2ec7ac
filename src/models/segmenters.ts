/** Segmenters by kind: a kind is a folder beside this file and a line here, or a custom module. */
import { join } from 'node:path';

import { shown, UsageError } from '../errors.js';
import { importModule } from '../import-module.js';
import { readJson } from './checkpoint-json.js';
import { grabcut } from './grabcut/definition.js';
import type { InspectedSegmenter, SegmenterUse } from './inspected.js';
import { sam2 } from './sam2/definition.js';
import { isSegmenterDefinition, type Segmenter, type SegmenterDefinition } from './segmenter.js';

export const SEGMENTERS: readonly SegmenterDefinition[] = [grabcut, sam2];

/** A segmenter in a pipeline: by kind, or by a custom module, with its options. */
export type SegmenterChoice = Readonly<Record<string, unknown>> &
  ({ readonly kind: string } | { readonly module: string });

/**
 * The kind of segmenter that a choice names.
 *
 * @throws {UsageError} for an unknown kind, or a module without one.
 */
export async function segmenterDefinition(
  choice: SegmenterChoice,
  known: readonly SegmenterDefinition[] = SEGMENTERS,
): Promise<SegmenterDefinition> {
  if (isOfModule(choice)) return await loadSegmenter(choice.module);
  const found = known.find(({ name }) => name === choice.kind);
  if (found) return found;
  const names = known.map(({ name }) => name).join(', ');
  throw new UsageError(`segmenter.kind: expected one of ${names}; got ${shown(choice.kind)}`);
}

/** @throws {UsageError} as `segmenterDefinition`. @throws {ModelError} as its `open`. */
export async function openSegmenter(choice: SegmenterChoice, notice?: (text: string) => void): Promise<Segmenter> {
  const definition = await segmenterDefinition(choice);
  return await definition.open(definition.options.parse(optionsOf(choice)), notice);
}

/** Whether a segmenter is named by a module rather than a kind. */
export function isOfModule(choice: unknown): choice is SegmenterChoice & { readonly module: string } {
  return choice !== null && typeof choice === 'object' && 'module' in choice && !('kind' in choice);
}

/** The options beside `kind` or `module`. */
export function optionsOf(choice: SegmenterChoice): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(choice).filter(([key]) => key !== 'kind' && key !== 'module'));
}

/**
 * The kind of segmenter that a user's module exports.
 *
 * @param file absolute.
 * @throws {UsageError} if it can't be loaded, or exports none or several.
 */
export async function loadSegmenter(file: string): Promise<SegmenterDefinition> {
  const exported = Object.values(await importModule(file));
  const [found, ...others] = exported.filter(isSegmenterDefinition);
  if (found && others.length === 0) return found;
  throw new UsageError(
    `expected one export made by defineSegmenter(…); got ${found ? others.length + 1 : 'none'} in ${JSON.stringify(file)}`,
  );
}

/**
 * Inspects the folder of a segmenter; reads configurations and headers, no weights.
 *
 * @returns undefined for other folders.
 */
export async function inspectSegmenter(folder: string, use: SegmenterUse): Promise<InspectedSegmenter | undefined> {
  const { model_type: type } = await readJson(join(folder, 'config.json'), {});
  const kind = typeof type === 'string' ? SEGMENTERS.find((known) => known.reads?.(type)) : undefined;
  return await kind?.inspect?.(folder, use);
}
