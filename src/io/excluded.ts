import { parse, sep } from 'node:path';

import { messageOf, UsageError } from '../errors.js';
import type { Pair } from './dataset.js';
import { parseJson, readText } from './text.js';

/**
 * Names of items to leave out, as a file lists them: one a line, or a line of JSON with `id` or `image_path`. Empty
 * lines and those that begin with `#` do not count.
 *
 * @throws {UsageError} if the file can't be read, or a line of JSON names nothing.
 */
export function listedNames(path: string): string[] {
  let text;
  try {
    text = readText(path);
  } catch (error) {
    throw new UsageError(`${path}  excludeFile: expected a text file; got ${messageOf(error)}`, { cause: error });
  }
  return text.split(/\r?\n/).flatMap((line, i) => {
    const entry = line.trim();
    if (entry === '' || entry.startsWith('#')) return [];
    return entry.startsWith('{') ? [namedBy(entry, `${path}:${i + 1}`)] : [entry];
  });
}

function namedBy(line: string, where: string): string {
  try {
    const { id, image_path: image } = parseJson(line) as { readonly id?: unknown; readonly image_path?: unknown };
    if (typeof (id ?? image) === 'string') return (id ?? image) as string;
  } catch {
    // Said below.
  }
  throw new UsageError(`${where}  excludeFile: expected JSON with id or image_path; got ${line.slice(0, 80)}`);
}

/**
 * Finds the items that names mean: an image's name with or without extension, the end of its path, an item's own name
 * or a row's id; `*` stands for any characters and `?` for one, but for `/`.
 *
 * @returns items that none of them means, and the names that mean none.
 */
export function without(
  items: readonly Pair[],
  names: readonly string[],
): { readonly kept: readonly Pair[]; readonly idle: readonly string[] } {
  const exact = new Map<string, number[]>();
  const patterns: { readonly matches: RegExp; readonly place: number }[] = [];
  names.forEach((written, place) => {
    const name = written
      .replace(/^e\d+\/\d+\//, '')
      .replaceAll('\\', '/')
      .replace(/^(\.\/)+/, '')
      .normalize();
    if (/[*?]/.test(name)) patterns.push({ matches: pattern(name), place });
    else exact.set(name, [...(exact.get(name) ?? []), place]);
  });
  const used = new Set<number>();
  const kept = items.filter((item) => {
    const known = namesOf(item);
    const found = [
      ...known.flatMap((name) => exact.get(name) ?? []),
      ...patterns.filter(({ matches }) => known.some((name) => matches.test(name))).map(({ place }) => place),
    ];
    for (const place of found) used.add(place);
    return found.length === 0;
  });
  return { kept, idle: names.filter((_, place) => !used.has(place)) };
}

function namesOf({ name, image }: Pair): string[] {
  const parts = image.split(sep);
  const ends = parts.map((_, i) => parts.slice(i).join('/'));
  return [name, parse(image).name, ...ends].map((one) => one.normalize());
}

function pattern(name: string): RegExp {
  const source = name
    .replaceAll(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replaceAll('*', '[^/]*')
    .replaceAll('?', '[^/]');
  return new RegExp(`^${source}$`, 'i');
}
