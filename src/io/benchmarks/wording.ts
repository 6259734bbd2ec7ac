/** A question of yes or no, as the policy is asked it. */
export function yesNoInstruction(question: string): string {
  return /\byes or no\b/i.test(question) ? question : `${question}\nAnswer with yes or no.`;
}

/** A question with options, as the policy is asked it. */
export function choiceInstruction(question: string, options: readonly string[], hint = ''): string {
  const lines = options.map((option, i) => `${letterOf(i)}. ${option}`);
  return [hint, question, ...lines, 'Answer with the letter of the right option.']
    .filter((line) => line !== '')
    .join('\n');
}

/** A, B, … of an option counted from 0. */
export function letterOf(index: number): string {
  return String.fromCharCode(65 + index);
}
