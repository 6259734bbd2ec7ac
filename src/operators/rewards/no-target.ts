import { readLeniently } from '../parse-lenient.js';
import { maskArea } from '../../io/mask.js';
import type { Completion, Mask, Prompt } from '../../records.js';

/**
 * For an empty ground truth: 1 for a completion that abstains, -1 for one with a prompt, 0 for an unreadable one. With
 * an object to find it is always 0, since the mask is scored there.
 *
 * @param prompt as parsed; null if unreadable.
 * @param completion without one, nothing can abstain.
 * @see CFCamo, arXiv:2606.11231, which pays 2 for abstaining and -1 for a mistake; GenSeg-R1, arXiv:2602.09701.
 */
export function noTarget(
  prompt: Prompt | null,
  completion: Pick<Completion, 'text' | 'finish'> | undefined,
  truth: Mask,
): number {
  if (maskArea(truth) > 0) return 0;
  if (prompt !== null) return -1;
  return completion && abstains(completion) ? 1 : 0;
}

const ANY_FRAME = { width: 1, height: 1 };

/**
 * Whether a completion says that there is nothing: it ended by itself, and `<bbox>`, `<points>` and `<labels>` are
 * absent or empty (`<bbox></bbox>`, `<points>[]</points>`), also where they are misspelt.
 */
export function abstains({ text, finish }: Pick<Completion, 'text' | 'finish'>): boolean {
  if (finish !== 'stop' || /<(?:bbox|points|labels)>(?!\s*(?:\[\s*\]\s*)?<\/)/.test(text)) return false;
  return readLeniently(text, ANY_FRAME) === null;
}
