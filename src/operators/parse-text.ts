import type { Box, Point, Prompt, Size } from '../records.js';

/** The parts of a completion; null where unreadable. */
export interface Parts {
  readonly points: readonly (readonly [number, number])[] | null;
  /** 0 or 1, as many as points. */
  readonly labels: readonly (0 | 1)[] | null;
  readonly boxes: readonly Box[] | null;
  readonly thought: boolean;
}

/** A position in a text; every read advances it, so a scan is linear for any text. */
interface Cursor {
  readonly text: string;
  at: number;
}

/** A list as written; `evaluates` is false if Python would refuse it. */
interface Written<T> {
  readonly values: readonly T[];
  readonly evaluates: boolean;
}

/** Longer numbers are no coordinates and would overflow a shard's column. */
export const MOST_DIGITS = 9;

/**
 * Reads the parts of Seg-R1's format, each by itself; a list that Python could not evaluate makes the others unreadable
 * too.
 */
export function readParts(text: string): Parts {
  const think = text.indexOf('<think>');
  const thought = think >= 0 && text.includes('</think>', think + '<think>'.length);
  const [points] = tagged(text, 'points', (cursor) => list(cursor, (c) => tuple(c, 2)), 1);
  const [labels] = tagged(text, 'labels', (cursor) => list(cursor, integer), 1);
  const boxes = tagged(text, 'bbox', (cursor) => tuple(cursor, 4));
  const numbers = [points?.values.flat() ?? [], labels?.values ?? [], boxes.flat()];
  const refused =
    points?.evaluates === false || labels?.evaluates === false || numbers.some((some) => some.some(Number.isNaN));
  if (refused) return { points: null, labels: null, boxes: null, thought };

  const flags = labels?.values.filter(isLabel);
  const unfit =
    flags !== undefined &&
    (flags.length !== labels?.values.length || (points !== undefined && points.values.length !== flags.length));
  return {
    points: unfit || !points ? null : points.values.map(([x, y]) => [x, y] as const),
    labels: unfit || !flags ? null : flags,
    boxes: boxes.length === 0 ? null : boxes.map(([x1, y1, x2, y2]): Box => [x1, y1, x2, y2]),
    thought,
  };
}

/** Whether a completion has every part that the format asks for. */
export function formatted(
  { points, labels, boxes, thought }: Parts,
  mode: 'boxes' | 'points',
  think: boolean,
): boolean {
  return points !== null && labels !== null && (mode === 'points' || boxes !== null) && (thought || !think);
}

/** The prompt for the segmenter; null if a needed part is missing. */
export function toPrompt({ points, labels, boxes }: Parts, frame: Size, mode: 'boxes' | 'points'): Prompt | null {
  if (points === null || labels === null || (mode === 'boxes' && boxes === null)) return null;
  const clicks = points.map(([x, y], i): Point => ({ x, y, label: labels[i] }));
  return {
    frame,
    objects: mode === 'points' ? [{ points: clicks }] : (boxes ?? []).map((box) => ({ box, points: clicks })),
  };
}

/** The numbers of the first `<bbox>` that has four, whether it is closed or not. */
export function firstBox(text: string): number[] | undefined {
  for (let start = text.indexOf('<bbox>'); start >= 0;) {
    const cursor = { text, at: start + '<bbox>'.length };
    space(cursor);
    const box = tuple(cursor, 4, digits);
    if (box) return box;
    start = text.indexOf('<bbox>', cursor.at);
  }
  return undefined;
}

/**
 * The lists of `size` numbers in the first `<name>`, read as decimals whatever Python makes of them; single numbers
 * for a size of 1.
 */
export function integersOf(text: string, name: 'points' | 'labels', size: 1 | 2): number[][] | undefined {
  const item = (cursor: Cursor): number[] | undefined => {
    if (size === 2) return tuple(cursor, 2, digits);
    const value = digits(cursor);
    return value === undefined ? undefined : [value];
  };
  const [found] = tagged(text, name, (cursor) => list(cursor, item), 1);
  return found?.values.slice();
}

/** The result of `read` for each `<name>…</name>`, up to `most`; further ones are ignored. */
function tagged<T>(text: string, name: string, read: (cursor: Cursor) => T | undefined, most = Infinity): T[] {
  const found: T[] = [];
  const open = `<${name}>`;
  const close = `</${name}>`;
  for (let start = text.indexOf(open); start >= 0 && found.length < most;) {
    const cursor = { text, at: start + open.length };
    space(cursor);
    const value = read(cursor);
    space(cursor);
    if (value !== undefined && text.startsWith(close, cursor.at)) found.push(value);
    start = text.indexOf(open, cursor.at);
  }
  return found;
}

/** `[item, item, …]`, with an optional trailing comma; a missing comma is accepted, but does not evaluate. */
function list<T>(cursor: Cursor, item: (cursor: Cursor) => T | undefined): Written<T> | undefined {
  if (!take(cursor, '[')) return undefined;
  const values: T[] = [];
  let evaluates = true;
  for (let separated = true; ; separated = take(cursor, ',')) {
    space(cursor);
    const value = item(cursor);
    if (value === undefined) break;
    evaluates &&= separated;
    values.push(value);
    space(cursor);
  }
  return values.length > 0 && take(cursor, ']') ? { values, evaluates } : undefined;
}

/** `[n, n, …]` with exactly `size` numbers. */
function tuple(cursor: Cursor, size: number, number = integer): number[] | undefined {
  const values: number[] = [];
  while (values.length < size) {
    if (!take(cursor, values.length === 0 ? '[' : ',')) return undefined;
    space(cursor);
    const value = number(cursor);
    if (value === undefined) return undefined;
    values.push(value);
    space(cursor);
  }
  return take(cursor, ']') ? values : undefined;
}

/** A whole number; NaN if Python or a shard refuses it: with a leading zero, or too long. */
function integer(cursor: Cursor): number | undefined {
  const start = cursor.at;
  while (isDigit(cursor.text.charCodeAt(cursor.at))) cursor.at++;
  const length = cursor.at - start;
  if (length === 0) return undefined;
  if (length > MOST_DIGITS) return NaN;
  const value = Number(cursor.text.slice(start, cursor.at));
  return length > 1 && cursor.text[start] === '0' && value !== 0 ? NaN : value;
}

/** A whole number of at most nine digits, as they stand. */
function digits(cursor: Cursor): number | undefined {
  const start = cursor.at;
  while (isDigit(cursor.text.charCodeAt(cursor.at))) cursor.at++;
  const length = cursor.at - start;
  return length > 0 && length <= MOST_DIGITS ? Number(cursor.text.slice(start, cursor.at)) : undefined;
}

function take(cursor: Cursor, char: string): boolean {
  if (cursor.text[cursor.at] !== char) return false;
  cursor.at++;
  return true;
}

function space(cursor: Cursor): void {
  while (' \t\n\r\f'.includes(cursor.text[cursor.at] ?? '.')) cursor.at++;
}

function isLabel(value: number): value is 0 | 1 {
  return value === 0 || value === 1;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}
