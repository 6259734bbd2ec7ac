import { readFileSync } from 'node:fs';

/**
 * Text of a file that other programs write: UTF-8, or UTF-16 where a byte order mark says so; the mark is left out.
 *
 * @throws the file system's error.
 */
export function readText(path: string): string {
  return decodeText(readFileSync(path));
}

/** As `readText`, of bytes. */
export function decodeText(bytes: Uint8Array): string {
  const [first, second] = bytes;
  const encoding =
    first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8';
  return new TextDecoder(encoding).decode(bytes);
}

/**
 * JSON as Python's json writes it: NaN, Infinity and -Infinity, which JSON does not have, are null.
 *
 * @throws {SyntaxError} if it is no JSON otherwise.
 */
export function parseJson(text: string): unknown {
  const plain = text.startsWith(MARK) ? text.slice(1) : text;
  try {
    return JSON.parse(plain);
  } catch (error) {
    if (!/NaN|Infinity/.test(plain)) throw error;
    return JSON.parse(withoutNonFinite(plain));
  }
}

const MARK = '\uFEFF';

/** The same text with null for numbers that are not finite; strings stay as they are. */
function withoutNonFinite(text: string): string {
  const parts: string[] = [];
  let at = 0;
  while (at < text.length) {
    const quote = text.indexOf('"', at);
    const end = quote < 0 ? text.length : quote;
    parts.push(text.slice(at, end).replaceAll(/-?Infinity|NaN/g, 'null'));
    at = quote < 0 ? end : endOfString(text, quote);
    parts.push(text.slice(end, at));
  }
  return parts.join('');
}

/** Behind the closing quote. */
function endOfString(text: string, quote: number): number {
  let close = text.indexOf('"', quote + 1);
  while (close >= 0 && isEscaped(text, close)) close = text.indexOf('"', close + 1);
  return close < 0 ? text.length : close + 1;
}

/** Whether an odd number of backslashes stands before it. */
function isEscaped(text: string, at: number): boolean {
  let first = at;
  while (text[first - 1] === '\\') first--;
  return (at - first) % 2 === 1;
}
