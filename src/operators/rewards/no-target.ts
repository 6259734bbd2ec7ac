import { maskArea } from '../../io/mask.js';
import type { Completion, Mask, Prompt } from '../../records.js';

/**
 * Where the truth is empty: 1 for an answer that abstains, -1 for one that asks for a mask, 0 for one that cannot be
 * read.
 * Where there is something to find it is 0 whatever the answer, for there the mask is judged.
 *
 * @param prompt what was read of the completion; null where nothing was.
 * @param completion without one there is no text that could abstain.
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

/**
 * Whether an answer says that there is nothing: it ended by itself, and `<bbox>`, `<points>` and `<labels>` are left
 * out or empty
 * (`<bbox></bbox>`, `<points>[]</points>`).
 */
export function abstains({ text, finish }: Pick<Completion, 'text' | 'finish'>): boolean {
  return finish === 'stop' && !/<(?:bbox|points|labels)>(?!\s*(?:\[\s*\]\s*)?<\/)/.test(text);
}
