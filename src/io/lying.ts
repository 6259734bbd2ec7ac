import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, parse, relative } from 'node:path';

import { holdsPictures } from './dataset.js';

/** Entries that a message lists. */
const LISTED = 8;
/** Folders that are looked into for pictures, and how deep. */
const [MOST, DEEPEST] = [400, 4];

/**
 * What lies at a path, for a message about something that was not found there: entries of the folder and where its
 * pictures are, or the same of the nearest folder above it.
 */
export function lying(path: string): string {
  if (!isFolder(path)) {
    const above = nearestFolder(path);
    return `nothing there; in ${above} lie ${entriesOf(above)}`;
  }
  const places = pictureFolders(path).map((folder) => relative(path, folder) || '.');
  const shown = places.slice(0, LISTED).join(', ');
  const pictures = places.length === 0 ? 'no pictures' : `pictures in ${shown}${places.length > LISTED ? ', …' : ''}`;
  return `${entriesOf(path)}; ${pictures}`;
}

/** A folder beside or around `path` that differs from it by its upper and lower case alone, or by a folder between. */
export function likelyFolder(path: string): string | undefined {
  const above = nearestFolder(path);
  const wanted = basename(path).toLowerCase();
  return foldersUnder(above, 2).find((folder) => basename(folder).toLowerCase() === wanted);
}

/** Folders in `root`, nearer ones first, that hold pictures of their own. */
function pictureFolders(root: string): string[] {
  return [root, ...foldersUnder(root, DEEPEST)].filter((folder) => holdsPictures(folder));
}

function foldersUnder(root: string, depth: number): string[] {
  const found: string[] = [];
  let level = [root];
  for (let deep = 0; deep < depth && level.length > 0; deep++) {
    level = level.flatMap((folder) =>
      namesIn(folder)
        .filter((name) => !name.startsWith('.'))
        .map((name) => join(folder, name)),
    );
    level = level.slice(0, MOST - found.length).filter(isFolder);
    found.push(...level);
  }
  return found;
}

function nearestFolder(path: string): string {
  let at = dirname(path);
  while (!isFolder(at) && at !== parse(at).root) at = dirname(at);
  return at;
}

function entriesOf(folder: string): string {
  const names = namesIn(folder)
    .filter((name) => !name.startsWith('.'))
    .toSorted();
  const shown = names.slice(0, LISTED).map((name) => (isFolder(join(folder, name)) ? `${name}/` : name));
  return names.length === 0 ? 'no files' : `${shown.join(' ')}${names.length > LISTED ? ` … (${names.length})` : ''}`;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
