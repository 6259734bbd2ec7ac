import { DataError, shown } from '../../errors.js';
import { draws } from '../../random.js';

/** `standard` scores every item once, by its own prediction; `legacy` as Seg-R1's released evaluation does. */
export type Protocol = 'standard' | 'legacy';

const defects = {
  foreground: ['foreground: an answer that is missing repeats the one before'],
  referring: ['referring: one random expression of each image, not all'],
  reasoning: [
    'reasoning: images are drawn with replacement, and one random text of each',
    'reasoning: the first box of an answer with all points, also those outside it',
    'reasoning: ignored regions count as background, which is the convention seg_r1',
  ],
} as const;

/** Defects of `legacy` for rows of these tasks, which are in its published numbers. */
export function defectsOf(tasks: Iterable<string>): readonly string[] {
  const families = [...tasks].map((task) =>
    task.startsWith('reason-') ? 'reasoning' : task === 'referring' ? 'referring' : 'foreground',
  );
  return [...new Set(families)].flatMap((family) => defects[family]);
}

/** Answers beside what was asked: every question once, in order. */
export interface Paired<T> {
  /** Null where there is no answer. */
  readonly answers: readonly { readonly id: string; readonly answer: T | null }[];
  readonly missing: readonly string[];
  /** Answers to what was not asked. */
  readonly strangers: readonly string[];
}

/**
 * Pairs answers with questions by id.
 *
 * @throws {DataError} if an id is asked twice: it would be counted twice.
 */
export function pairAnswers<T>(asked: readonly string[], answers: ReadonlyMap<string, T>): Paired<T> {
  const known = new Set<string>();
  for (const id of asked) {
    if (known.has(id)) throw new DataError(`questions: expected each once; got ${shown(id)} twice`);
    known.add(id);
  }
  return {
    answers: asked.map((id) => ({ id, answer: answers.get(id) ?? null })),
    missing: asked.filter((id) => !answers.has(id)),
    strangers: [...answers.keys()].filter((id) => !known.has(id)),
  };
}

/**
 * Seg-R1's released protocol for referring sets: one random expression of each image, in order of first mention, not
 * all.
 *
 * This and the one below reproduce defects that are in its published numbers; `defectsOf` names the others.
 */
export function legacyReferring<T extends { readonly image: string }>(items: readonly T[], seed: number): T[] {
  const random = draws('legacy referring', seed);
  return byImage(items).map((of) => of[random.integer(0, of.length)]);
}

/** Its protocol for ReasonSeg: as many draws as there are images, with replacement, and one random text of each. */
export function legacyReasoning<T extends { readonly image: string }>(items: readonly T[], seed: number): T[] {
  const random = draws('legacy reasoning', seed);
  const images = byImage(items);
  return images.map(() => {
    const of = images[random.integer(0, images.length)];
    return of[random.integer(0, of.length)];
  });
}

function byImage<T extends { readonly image: string }>(items: readonly T[]): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(item.image) ?? [];
    group.push(item);
    groups.set(item.image, group);
  }
  return [...groups.values()];
}
