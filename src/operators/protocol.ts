import { DataError, shown } from '../errors.js';
import { draws } from '../random.js';

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
 * What the released evaluation of Seg-R1 does otherwise; its published numbers carry these, so they can be had on purpose.
 * Ignored regions count as background there: that is the convention `seg_r1`.
 */
export const legacyDefects = {
  referring: 'one expression an image, drawn at random, instead of all',
  reasoning: 'as many images as there are, drawn with replacement, and a text of each at random',
  foreground: 'an image without an answer is given the answer to the image before it',
} as const;

/** One random expression of each image, images in order of their first; drawn by the seed. */
export function legacyReferring<T extends { readonly image: string }>(items: readonly T[], seed: number): T[] {
  const random = draws('legacy referring', seed);
  return byImage(items).map((of) => of[random.integer(0, of.length)]!);
}

/** As many draws as there are images, with replacement; of each image one random text. */
export function legacyReasoning<T extends { readonly image: string }>(items: readonly T[], seed: number): T[] {
  const random = draws('legacy reasoning', seed);
  const images = byImage(items);
  return images.map(() => {
    const of = images[random.integer(0, images.length)]!;
    return of[random.integer(0, of.length)]!;
  });
}

/**
 * Answers where each that is missing repeats the one before.
 *
 * @throws {DataError} if the first is missing: there the released evaluation stops.
 */
export function legacyForeground<T>({ answers }: Paired<T>): { readonly id: string; readonly answer: T }[] {
  let before: T | null = null;
  return answers.map(({ id, answer }) => {
    before = answer ?? before;
    if (before === null) throw new DataError(`${id}  answer: expected one for the first image; got none`);
    return { id, answer: before };
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
