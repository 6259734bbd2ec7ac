import { existsSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';

import { folderNames } from '../io/folder-name.js';
import type { StoredItem, StoredRun } from './runs.js';

/**
 * The same runs, but sets of one name told apart, as in `cats (old/cats)`, where their images lie in different folders
 * that are both there. Runs of another machine keep their names.
 *
 * @param exists whether there is a folder.
 */
export function apart(runs: readonly StoredRun[], exists: (path: string) => boolean = existsSync): StoredRun[] {
  const names = [...new Set(runs.flatMap(({ sets }) => sets.map(({ set }) => set)))];
  return names.reduce<StoredRun[]>(
    (told, name) => {
      const places = told.map((run) => placeOf(run, name, exists));
      const different = [...new Set(places.filter((place) => place !== undefined))];
      if (different.length < 2) return told;
      const labels = folderNames(different);
      return told.map((run, i) => {
        const place = places[i];
        return place === undefined ? run : renamed(run, name, `${name} (${labels[different.indexOf(place)]})`);
      });
    },
    [...runs],
  );
}

/** Folder of a set's first image; undefined where it is not on this machine, or a scene. */
function placeOf({ items }: StoredRun, name: string, exists: (path: string) => boolean): string | undefined {
  const [first] = items
    .filter(({ set }) => set === name)
    .map(({ unit }) => unit)
    .toSorted();
  return first !== undefined && isAbsolute(first) && exists(dirname(first)) ? dirname(first) : undefined;
}

function renamed(run: StoredRun, from: string, to: string): StoredRun {
  const rename = <T extends Pick<StoredItem, 'set'>>(one: T): T => (one.set === from ? { ...one, set: to } : one);
  return { ...run, sets: run.sets.map(rename), items: run.items.map(rename) };
}
