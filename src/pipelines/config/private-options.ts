import type { Path } from './yaml-source.js';

/** Options whose values may hold a credential, misplaced or not: no message shows them. */
const PRIVATE =
  /^(endpoint|url|headers?|(api|access|secret|private)?[-_]?(key|token)|secret|pass(word|wd|phrase)?|auth(orization)?|bearer|credentials?)$/i;

/** Whether the value at a path is never shown. */
export function isPrivate(path: Path): boolean {
  return PRIVATE.test(String(path.at(-1)));
}
