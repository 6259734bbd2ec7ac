import { UsageError } from '../errors.js';

/** One value of a table as bytes of its file, without quotes around it. */
export interface Cell {
  readonly start: number;
  readonly end: number;
}

const [TAB, NEWLINE, RETURN, QUOTE] = [9, 10, 13, 34];

/**
 * Records of a tab-separated file, the header first, without empty lines.
 *
 * Quotes are RFC 4180's: a value that begins with `"` ends at the next single one, and may hold tabs and line breaks;
 * elsewhere a quote is itself.
 *
 * @param name of the bytes in messages.
 * @throws {UsageError} if a quote isn't closed, or a record has another number of values than the header.
 */
export function tsvRecords(bytes: Uint8Array, name: string): Cell[][] {
  const records: Cell[][] = [];
  let record: Cell[] = [];
  let at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  const refuse = (got: string): never => {
    throw new UsageError(
      `${name}  record ${records.length + 1}: expected ${records[0] ? `${records[0].length} values` : 'a header'}, tabs between them; got ${got}`,
    );
  };
  while (at < bytes.length) {
    const quoted = bytes[at] === QUOTE;
    const start = quoted ? at + 1 : at;
    let end = start;
    if (quoted)
      while (end < bytes.length && (bytes[end] !== QUOTE || bytes[end + 1] === QUOTE))
        end += bytes[end] === QUOTE ? 2 : 1;
    else while (end < bytes.length && bytes[end] !== TAB && bytes[end] !== NEWLINE) end++;
    if (quoted && end >= bytes.length) refuse('a quote that is not closed');
    at = quoted ? end + 1 : end;
    if (bytes[at] === RETURN && bytes[at + 1] === NEWLINE) at++;
    if (at < bytes.length && bytes[at] !== TAB && bytes[at] !== NEWLINE) refuse('more behind a closing quote');
    if (!quoted && bytes[end - 1] === RETURN && bytes[at] !== TAB && end > start) end--;
    record.push({ start, end });
    const last = bytes[at] !== TAB;
    at++;
    // A tab at the very end of the file has an empty value behind it.
    if (!last && at === bytes.length) record.push({ start: at, end: at });
    if (!last && at < bytes.length) continue;
    if (record.length > 1 || end > start) {
      if (records[0] && record.length !== records[0].length) refuse(`${record.length}`);
      records.push(record);
    }
    record = [];
  }
  return records;
}

/** Text of a value, with doubled quotes undone. */
export function cellText(bytes: Uint8Array, { start, end }: Cell): string {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(start, end));
  return start > 0 && bytes[start - 1] === QUOTE ? text.replaceAll('""', '"') : text;
}
