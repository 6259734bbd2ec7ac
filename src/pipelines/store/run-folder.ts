import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { shortPath, UsageError } from '../../errors.js';
import { writeWhole } from '../../io/whole-file.js';
import { LOCK } from './lock.js';
import { resolvedYaml, type Pipeline } from '../config/read.js';
import type { Folders } from '../stage.js';

/** In a run's folder, the pipeline that it was begun with. */
const CONFIG = 'config.yaml';

/** `runs/NAME` of the working folder: the pipeline's `run:`, else its name and the time. */
export function defaultFolder({ name, settings }: Pipeline, now: Date = new Date()): string {
  const time = now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
  return resolve('runs', settings.run ?? `${name}-${time}`);
}

/**
 * Makes a run's folders and puts the resolved pipeline beside them.
 *
 * @throws {UsageError} if the folder already holds something.
 */
export function makeFolders(root: string, pipeline: Pipeline): Folders {
  if (existsSync(root) && readdirSync(root).some((name) => name !== LOCK)) {
    const goesOn = existsSync(join(root, CONFIG)) ? ', or --resume' : '';
    throw new UsageError(
      `${shortPath(root)}  run: expected a new or empty folder; got one with files in it; way out: another --run${goesOn}`,
    );
  }
  mkdirSync(root, { recursive: true });
  // First, so that a folder that nothing can be put in stays empty.
  writeWhole(join(root, CONFIG), resolvedYaml(pipeline));
  return foldersOf(root);
}

/** A run's folders, made where they are not there. */
export function foldersOf(root: string): Folders {
  const folders = {
    root,
    rows: join(root, 'rows'),
    metrics: join(root, 'metrics'),
    checkpoints: join(root, 'checkpoints'),
  };
  for (const folder of Object.values(folders)) mkdirSync(folder, { recursive: true });
  return folders;
}

/** The checkpoint of the highest step in a run's `checkpoints`, or of the one given; undefined where there is none. */
export function lastCheckpoint(folder: string, step?: number): string | undefined {
  if (!existsSync(folder)) return undefined;
  const steps = readdirSync(folder).flatMap((name) =>
    /^step-\d+$/.test(name) ? [Number(name.slice('step-'.length))] : [],
  );
  const kept = step === undefined ? steps : steps.filter((one) => one === step);
  return kept.length > 0 ? join(folder, `step-${Math.max(...kept)}`) : undefined;
}
