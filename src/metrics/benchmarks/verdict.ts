/** One question as it was answered. */
export interface Verdict {
  /** Split, subtask or category. */
  readonly part: string;
  /** Questions that count together. */
  readonly item: string;
  /** How far the options were turned. */
  readonly turn: number;
  readonly expected: string;
  /** Null where the answer could not be read. */
  readonly given: string | null;
}

/** Numbers by name; NaN where there is nothing to count. */
export type Scores = Readonly<Record<string, number>>;

/** Whether the answer is the expected one; an unread one never is. */
export function isRight({ expected, given }: Verdict): boolean {
  return given === expected;
}

/** Share of all that are so, 0 to 1; NaN of none. */
export function share<T>(all: readonly T[], isSo: (one: T) => boolean): number {
  return all.filter(isSo).length / all.length;
}

/** What belongs to each name, in order of first mention. */
export function grouped<T>(all: readonly T[], nameOf: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) {
    const group = groups.get(nameOf(one));
    if (group) group.push(one);
    else groups.set(nameOf(one), [one]);
  }
  return groups;
}
