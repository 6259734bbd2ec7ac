/** Keeps a key out of what a server sends back: in full, in part, and in the encodings of the web. */
export interface KeyGuard {
  /** Foreign text with each piece of the key replaced by `[key]`. */
  redact(text: string): string;
  /** Whether a text repeats the key, or a long piece of it. */
  holds(text: string): boolean;
}

/** Shorter keys are placeholders, such as `EMPTY`: they are redacted as whole words only. */
const SHORTEST = 8;
/** Characters of the key in a row that a message must not have. */
const PIECE = 5;
/** The same for an answer, which is kept as it is or refused. */
const LONG_PIECE = 12;
/** A message shows far less of a text. */
const MOST = 1 << 16;

const NOTHING: KeyGuard = { redact: (text) => text, holds: () => false };

/** @param key undefined where a server needs none. */
export function keyGuard(key: string | undefined): KeyGuard {
  if (key === undefined) return NOTHING;
  if (key.length < SHORTEST) {
    const word = new RegExp(`(?<![\\w])${key.replaceAll(/[^\w]/g, '\\$&')}(?![\\w])`, 'g');
    return { redact: (text) => text.replaceAll(word, '[key]'), holds: () => false };
  }
  const short = piecesOf(key, PIECE);
  const long = piecesOf(key, LONG_PIECE);
  return {
    redact: (text) => without(text.slice(0, MOST), short),
    holds: (text) => readings(text).some((reading) => pieceAt(reading.text, long).next().done === false),
  };
}

/** Pieces of the key to look for, by their length. */
type Pieces = ReadonlyMap<number, ReadonlySet<string>>;

function piecesOf(key: string, characters: number): Pieces {
  const found = new Map<number, Set<string>>();
  const add = (form: string, length: number): void => {
    const size = Math.min(length, form.length);
    const own = found.get(size) ?? new Set();
    for (let i = 0; i + size <= form.length; i++) own.add(folded(form.slice(i, i + size)));
    found.set(size, own);
  };
  add(key, characters);
  add(Buffer.from(key).toString('hex'), 2 * characters);
  // Base64 of a text with the key in it has one of three forms of the key, by where it begins.
  for (const before of [0, 1, 2]) {
    const form = Buffer.from(`${' '.repeat(before)}${key}`).toString('base64');
    add(form.slice(Math.ceil((before * 8) / 6), Math.floor(((before + key.length) * 8) / 6)), characters + 3);
  }
  return found;
}

/** A text as somebody may read it, and where each of its characters was written: `from` … `to`, end excluded. */
interface Reading {
  readonly text: string;
  readonly from: readonly number[];
  readonly to: readonly number[];
}

const ENCODED =
  /%([\da-f]{2})|\\u([\da-f]{4})|\\u\{([\da-f]{1,6})\}|\\x([\da-f]{2})|&#x([\da-f]{1,6});|&#(\d{1,7});|\\(["'\\/])|[\s\p{Cf}\p{Cc}]/giu;

/** As written, decoded, and decoded twice; white space, which wraps long lines, is left out. */
function readings(text: string): Reading[] {
  const plain: Reading = { text, from: [...range(text.length)], to: [...range(text.length)].map((at) => at + 1) };
  const once = decoded(plain);
  return [plain, once, decoded(once)].map((reading) => ({ ...reading, text: folded(reading.text) }));
}

function* range(length: number): Iterable<number> {
  for (let i = 0; i < length; i++) yield i;
}

function decoded({ text, from, to }: Reading): Reading {
  const parts: string[] = [];
  const [starts, ends]: [number[], number[]] = [[], []];
  const put = (part: string, start: number, end: number): void => {
    for (const unit of part.split('')) {
      parts.push(unit);
      starts.push(start);
      ends.push(end);
    }
  };
  let at = 0;
  for (const match of text.matchAll(ENCODED)) {
    for (; at < match.index; at++) put(text[at], from[at], to[at]);
    at = match.index + match[0].length;
    put(characterOf(match), from[match.index], to[at - 1]);
  }
  for (; at < text.length; at++) put(text[at], from[at], to[at]);
  return { text: parts.join(''), from: starts, to: ends };
}

function characterOf([, percent, unicode, braced, hex, entityHex, entity, quoted]: RegExpMatchArray): string {
  if (quoted !== undefined) return quoted;
  const sixteen = percent ?? unicode ?? braced ?? hex ?? entityHex;
  const code = sixteen === undefined ? Number(entity ?? Number.NaN) : Number.parseInt(sixteen, 16);
  return code <= 0x10ffff ? String.fromCodePoint(code) : '';
}

/** Case aside, and base64 as the web writes it; of the same length. */
function folded(text: string): string {
  return text
    .replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
    .replaceAll(/[-_]/g, (sign) => (sign === '-' ? '+' : '/'));
}

function* pieceAt(text: string, pieces: Pieces): Generator<readonly [start: number, end: number]> {
  for (const [size, known] of pieces)
    for (let i = 0; i + size <= text.length; i++) if (known.has(text.slice(i, i + size))) yield [i, i + size];
}

function without(text: string, pieces: Pieces): string {
  const hidden = new Uint8Array(text.length);
  for (const reading of readings(text))
    for (const [start, end] of pieceAt(reading.text, pieces)) hidden.fill(1, reading.from[start], reading.to[end - 1]);
  let shown = '';
  for (let i = 0; i < text.length; i++) {
    if (!hidden[i]) shown += text[i];
    else if (!hidden[i - 1]) shown += '[key]';
  }
  return shown;
}
