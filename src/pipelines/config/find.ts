import { existsSync } from 'node:fs';
import { basename, extname, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

import { messageOf, shortPath, shown, UsageError } from '../../errors.js';
import { readText } from '../../io/text.js';
import { valueAt } from './schema-paths.js';
import { locate, type Located, type Path } from './yaml-source.js';
import { knownNames } from '../../nearest.js';

/** One pipeline of a file. */
export interface Picked {
  readonly name: string;
  readonly document: Located;
  /** Where the pipeline's map stands in the document. */
  readonly path: Path;
}

/**
 * Finds a pipeline: a file that holds one, or a name in a file that holds several.
 *
 * @param what `train.yaml`, or a name such as `train`.
 * @param pipelinesFile where names are looked up; by default `pipelines.yaml` of this folder, else the one shipped.
 * @throws {UsageError} if there is no such file or name; the names that there are, nearest pointed out.
 */
export function findPipeline(what: string, pipelinesFile?: string): Picked {
  return isFile(what)
    ? only(read(resolve(what)))
    : named(what, read(pipelinesFile === undefined ? defaultFile() : resolve(pipelinesFile)));
}

/**
 * Another pipeline of the same file.
 *
 * @returns the known names if none is `name`.
 */
export function beside({ document, path }: Picked, name: string): Picked | readonly string[] {
  const others = holdsOne(document) ? [] : names(document).filter((other) => other !== path[0]);
  return others.includes(name) ? { name, document, path: [name] } : others;
}

/** The names that can be run here without a file; none if the file that has them can't be read. */
export function pipelineNames(): readonly string[] {
  try {
    const document = read(defaultFile());
    return holdsOne(document) ? [] : names(document);
  } catch (error) {
    if (error instanceof UsageError) return [];
    throw error;
  }
}

function isFile(what: string): boolean {
  return /\.ya?ml$/i.test(what) || what.includes('/') || what.includes(sep);
}

function defaultFile(): string {
  const own = resolve('pipelines.yaml');
  return existsSync(own) ? own : fileURLToPath(new URL('../../../pipelines.yaml', import.meta.url));
}

function read(file: string): Located {
  let text: string;
  try {
    text = readText(file);
  } catch (error) {
    throw new UsageError(`${shortPath(file)}  pipeline: expected a YAML file; got ${messageOf(error)}`);
  }
  const document = locate(text, file);
  const { value } = document;
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new UsageError(
      `${document.at([])}  file: expected a pipeline, or pipelines by name; got ${Array.isArray(value) ? 'a list' : shown(value)}`,
    );
  }
  return document;
}

function only(document: Located): Picked {
  if (holdsOne(document)) return { name: stem(document.file), document, path: [] };
  const evaluating = new Set(
    names(document).flatMap((one) => [
      valueAt(document.value, [one, 'evaluate']),
      valueAt(document.value, [one, 'evaluate', 'pipeline']),
    ]),
  );
  // The pipeline that another one evaluates with is included.
  const [name, ...others] = names(document).filter((one) => !evaluating.has(one));
  if (name !== undefined && others.length === 0) return { name, document, path: [name] };
  const wayOut = `segr1 pipeline ${name ?? 'NAME'} --pipelines ${shortPath(document.file)}`;
  throw new UsageError(
    `${document.at([])}  file: expected one pipeline; got ${names(document).join(', ') || 'none'}; way out: ${wayOut}`,
  );
}

function named(name: string, document: Located): Picked {
  if (holdsOne(document)) {
    throw new UsageError(
      `${document.at([])}  file: expected pipelines by name; got a single one; way out: segr1 pipeline ${shortPath(document.file)}`,
    );
  }
  if (names(document).includes(name)) return { name, document, path: [name] };
  throw new UsageError(
    `${shortPath(document.file)}  no pipeline is called ${JSON.stringify(name)}; ${knownNames(name, names(document))}`,
  );
}

function holdsOne(document: Located): boolean {
  return Object.hasOwn(document.value as object, 'stages');
}

function names(document: Located): string[] {
  return Object.keys(document.value as Record<string, unknown>);
}

function stem(file: string): string {
  return basename(file, extname(file));
}
