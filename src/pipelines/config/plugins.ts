import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

import { messageOf, UsageError } from '../../errors.js';
import { importModule } from '../../import-module.js';
import type { SegmenterDefinition } from '../../models/segmenter.js';
import { isOfModule, loadSegmenter } from '../../models/segmenters.js';
import type { ResolvePath } from './check.js';
import type { Issue } from './issues.js';
import { nearest } from '../../nearest.js';
import { valueAt } from './schema-paths.js';
import { isStage, stageKeys, type Stage } from '../stage.js';

/**
 * The table with the stages that users' modules export; neither replaces the other's names.
 *
 * @param operators module paths as written, relative to `folder`.
 * @param run without, it is only looked whether they are there.
 */
export async function withModules(
  table: ReadonlyMap<string, Stage>,
  operators: readonly string[],
  folder: string,
  run: boolean,
): Promise<{ table: ReadonlyMap<string, Stage>; issues: readonly Issue[] }> {
  const all = new Map(table);
  const issues: Issue[] = [];
  for (const [index, written] of operators.entries()) {
    const refuse = (text: string): void => void issues.push({ path: ['operators', index], text: `operators: ${text}` });
    const file = resolve(folder, written);
    if (!existsSync(file)) {
      refuse(`expected a module; got ${JSON.stringify(written)}, which is not there`);
      continue;
    }
    if (!run) continue;
    try {
      const exported = Object.values(await importModule(file, written)).filter(isStage);
      if (exported.length === 0) refuse(`expected exports made by stage(…); got none in ${JSON.stringify(written)}`);
      for (const found of exported) {
        for (const text of wrongKeys(found, written)) refuse(text);
        if (all.has(found.name))
          refuse(
            `expected a name of its own; got "${found.name}", which is taken; way out: another name in ${JSON.stringify(written)}`,
          );
        else all.set(found.name, found);
      }
    } catch (error) {
      refuse(messageOf(error));
    }
  }
  return { table: all, issues };
}

/** What keys were called before 0.3. */
const RENAMED: Readonly<Record<string, string>> = { lasting: 'cacheable', chooses: 'filters' };

/** Keys of a stage that no stage has. */
function wrongKeys(found: Stage, written: string): string[] {
  return Object.keys(found)
    .filter((key) => !stageKeys.includes(key))
    .map((key) => {
      const now = RENAMED[key] ?? nearest(key, stageKeys)[0];
      const way = now === undefined ? `known: ${stageKeys.join(', ')}` : `way out: ${now}`;
      return `expected keys that a stage has; got ${JSON.stringify(key)} of ${found.name} in ${JSON.stringify(written)}; ${way}`;
    });
}

/** The segmenter that a pipeline's map names by module, where it does; none where it can't be loaded. */
export async function segmenterModule(
  map: unknown,
  resolvePath: ResolvePath,
): Promise<{ definition?: SegmenterDefinition; issues: readonly Issue[] }> {
  const choice = valueAt(map, ['segmenter']);
  if (!isOfModule(choice) || typeof choice.module !== 'string') return { issues: [] };
  const path = ['segmenter', 'module'];
  const file = resolvePath(choice.module, path);
  // A module that is not there is refused where paths are checked.
  if (!existsSync(file)) return { issues: [] };
  try {
    return { definition: await loadSegmenter(file), issues: [] };
  } catch (error) {
    if (error instanceof UsageError) return { issues: [{ path, text: `segmenter.module: ${error.message}` }] };
    throw error;
  }
}
