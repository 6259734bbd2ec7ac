/**
 * Reads a yes or no: the first word where it is one of the two, else the one of them that the text has.
 *
 * @returns null where the text has neither, or both behind another first word.
 */
export function readYesNo(text: string): 'yes' | 'no' | null {
  const words: readonly string[] = text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? [];
  const [first] = words;
  if (first === 'yes' || first === 'no') return first;
  const [yes, no] = [words.includes('yes'), words.includes('no')];
  if (yes === no) return null;
  return yes ? 'yes' : 'no';
}
