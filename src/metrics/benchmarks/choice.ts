/**
 * Reads which option was chosen, by the first of these rules that finds exactly one:
 * the letter alone (`B`, `b.`, `(B)`), the letter in front (`B. a cat`), `answer is B` or `option B`, an option's whole
 * text, one letter in
 * brackets, an option's text as words of a longer one.
 *
 * @param options what stands behind A, B, …
 * @returns its letter; null where no rule finds one.
 */
export function readChoice(text: string, options: readonly string[]): string | null {
  const said = text.trim();
  const known = options.map((_, i) => letterOf(i));
  const one = (found: readonly (string | undefined)[]): string | undefined => {
    const letters = new Set(
      found.map((letter) => letter?.toUpperCase()).filter((letter) => letter !== undefined && known.includes(letter)),
    );
    return letters.size === 1 ? [...letters][0] : undefined;
  };
  return (
    one([/^[([]?([a-z])[)\]]?[.:,)]?$/i.exec(said)?.[1]]) ??
    one([/^([A-Z])[.:,)]\s/.exec(said)?.[1]]) ??
    one(
      [...said.matchAll(/\b(?:[Aa]nswer|[Oo]ption|[Cc]hoice)(?:\s+is)?\s*:?\s*[*([]*([A-Z])\b/g)].map(
        ([, letter]) => letter,
      ),
    ) ??
    one(known.filter((_, i) => plain(options[i] ?? '') === plain(said))) ??
    one([...said.matchAll(/\(([A-Z])\)/g)].map(([, letter]) => letter)) ??
    one(mentioned(plain(said), options.map(plain)).map((i) => known[i])) ??
    null
  );
}

/** A, B, … of an option counted from 0. */
function letterOf(index: number): string {
  return String.fromCharCode(65 + index);
}

/** Words alone, one space between them. */
function plain(text: string): string {
  return (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).join(' ');
}

/** Options whose words the text has; not those that are part of another one that it has. */
function mentioned(said: string, options: readonly string[]): number[] {
  const has = (text: string, part: string): boolean => part !== '' && ` ${text} `.includes(` ${part} `);
  const found = options.flatMap((option, i) => (has(said, option) ? [i] : []));
  return found.filter((i) => !found.some((j) => options[j] !== options[i] && has(options[j] ?? '', options[i] ?? '')));
}
