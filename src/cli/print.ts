import { printable } from '../printable.js';

/** Prints to standard output, where results go. All printing of text is here: names of files and what models and servers say cannot command the terminal. */
export function print(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

/** Prints to standard error, where everything else goes. */
export function tell(text: string): void {
  process.stderr.write(`${printable(text)}\n`);
}
