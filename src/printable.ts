/** What commands a terminal, ends a line elsewhere than `\n`, or turns text around; and halves of letters. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Cs}]/gu;

/**
 * Text that shows on any terminal what it says: all but `\n` that isn't for reading is written as `\u001b`, as JSON has
 * it. JSON stays the same value.
 */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, (sign) => (sign === '\n' ? sign : escaped(sign)));
}

/** The same on one line: `\n` too is escaped. */
export function inLine(text: string): string {
  return text.replaceAll(UNPRINTABLE, escaped);
}

/** Whether a text is printed as it is. */
export function isPrintable(text: string): boolean {
  return inLine(text) === text;
}

function escaped(sign: string): string {
  return `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
