import { shown } from '../errors.js';

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
};

/**
 * A byte string as Python 2 quotes it, `'…'` or `"…"`; as UTF-8 where its bytes are that, else one character a byte.
 *
 * @throws {RangeError} if it is not quoted.
 */
export function unescaped(quoted: string): string {
  const quote = quoted.charAt(0);
  if (quoted.length < 2 || !`'"`.includes(quote) || !quoted.endsWith(quote))
    throw new RangeError(`STRING: expected a quoted text; got ${shown(quoted)}`);
  const bytes = quoted
    .slice(1, -1)
    .replace(/\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|(.))/gs, (_, hex?: string, octal?: string, character = '') => {
      if (hex !== undefined) return String.fromCharCode(parseInt(hex, 16));
      if (octal !== undefined) return String.fromCharCode(parseInt(octal, 8) & 0xff);
      return ESCAPES[character] ?? `\\${character}`;
    });
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return bytes;
  }
}

/**
 * A text as Python's raw-unicode-escape writes it: Latin-1, and the rest as `\uXXXX` or `\UXXXXXXXX`.
 *
 * @throws {RangeError} for a code point that there is not.
 */
export function unescapedUnicode(raw: string): string {
  return raw.replace(/\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/g, (_, short?: string, long?: string) =>
    String.fromCodePoint(parseInt(short ?? long ?? '', 16)),
  );
}
