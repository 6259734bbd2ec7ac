/** Edits between two words: insertions, deletions, substitutions and swaps of neighbours, case ignored. */
export function distance(a: string, b: string): number {
  const [from, to] = [a.toLowerCase(), b.toLowerCase()];
  let before: number[] = [];
  let above = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1];
      row[j] = Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1])
        row[j] = Math.min(row[j], before[j - 2] + 1);
    }
    [before, above] = [above, row];
  }
  return above[to.length];
}

/** The words that `word` may have been meant for, closest first; at most `count`, and none that shares too little. */
export function nearest(word: string, known: readonly string[], count = 3): string[] {
  const limit = Math.max(2, Math.ceil(word.length / 3));
  return known
    .map((candidate) => ({
      candidate,
      away: candidate.startsWith(word) && word.length > 1 ? 1 : distance(word, candidate),
    }))
    .filter(({ away }) => away <= limit)
    .toSorted((a, b) => a.away - b.away || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

/** `known: a, b, c`, and the way out where one is near: `known: a, b, c; nearest: b`. */
export function knownNames(word: string, known: readonly string[]): string {
  const close = nearest(word, known);
  const list = `known: ${known.length > 0 ? known.join(', ') : 'none'}`;
  return close.length > 0 ? `${list}; nearest: ${close.join(', ')}` : list;
}
