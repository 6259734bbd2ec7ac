import {
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  parseDocument,
  Parser,
  visit,
  type Document,
  type Node,
  type Pair,
} from 'yaml';

import { messageOf, shortPath, UsageError, withoutCredentials } from '../../errors.js';

/** Where a value stands in a YAML document: keys and indices from the top. */
export type Path = readonly (string | number)[];

/** A YAML file as values, and where each of them was written. */
export interface Located {
  readonly file: string;
  readonly value: unknown;
  /**
   * `file:line:col` of a path, counted from 1; of its nearest parent where the path was not written. `key`: of the key
   * rather than the value.
   */
  at(path: Path, part?: 'key' | 'value'): string;
  /** The same as characters from the start of the file, to sort by. */
  offset(path: Path, part?: 'key' | 'value'): number;
}

/** More repeats of anchored nodes than this are an attack or an accident. */
const MOST_ALIASES = 100;
/** Deeper ones are too, and end the process that reads them. */
const DEEPEST = 64;
/** Keys in one map. */
const MOST_KEYS = 1000;
/** Characters. */
const LONGEST = 4_000_000;

/** Keys are compared in `faultsOf`: the reader compares each with each. */
const READING = { prettyErrors: false, uniqueKeys: false } as const;

/** One mistake of a YAML text: characters from its start, and what to say. */
interface Fault {
  readonly at: number;
  readonly text: string;
}

/**
 * Reads one YAML document.
 *
 * @param file named in messages, relative to the working folder where that is shorter.
 * @throws {UsageError} one line a mistake: syntax, repeated keys, keys that are no text, tags, unknown anchors and those
 * inside themselves, too many aliases or keys, too deep.
 */
export function locate(text: string, file: string): Located {
  const lines = new LineCounter();
  const name = shortPath(file);
  const position = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  const refuse = (faults: readonly Fault[]): never => {
    throw new UsageError(faults.map((fault) => `${position(fault.at)}  ${fault.text}`).join('\n'));
  };
  const heavy = tooMuch(text, lines);
  if (heavy) refuse([heavy]);
  // `tooMuch` has counted the lines.
  const document = parseDocument(text, READING);
  const faults = faultsOf(document);
  if (faults.length > 0) refuse(faults);
  try {
    const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
    const offset = (path: Path, part: 'key' | 'value' = 'value'): number => offsetOf(document, path, part);
    return { file, value, offset, at: (path, part) => position(offset(path, part)) };
  } catch (error) {
    return refuse([{ at: 0, text: `anchors: expected at most ${MOST_ALIASES} repeats; got ${messageOf(error)}` }]);
  }
}

/**
 * The value of one piece of YAML, such as a list in brackets.
 *
 * @throws {UsageError} with the first mistake.
 */
export function readYaml(text: string): unknown {
  const heavy = tooMuch(text, new LineCounter());
  if (heavy) throw new UsageError(heavy.text);
  const document = parseDocument(text, READING);
  const [fault] = faultsOf(document);
  if (fault) throw new UsageError(fault.text);
  return document.toJS({ maxAliasCount: MOST_ALIASES }) as unknown;
}

/** What the reader could not take; it goes one call deeper for each level, so this ends at the first one too deep. */
function tooMuch(text: string, lines: LineCounter): Fault | undefined {
  if (text.length > LONGEST) return { at: 0, text: `file: expected at most ${LONGEST} characters; got ${text.length}` };
  lines.addNewLine(0);
  const parser = new Parser(lines.addNewLine);
  for (const lexeme of new Lexer().lex(text)) {
    for (const _ of parser.next(lexeme));
    // What is open: the document, its value, and what is in it.
    const deep = parser.stack[DEEPEST + 2];
    if (deep) return { at: deep.offset, text: `nesting: expected at most ${DEEPEST} levels; got more` };
  }
  return undefined;
}

function faultsOf(document: Document.Parsed): Fault[] {
  const found = [...document.errors, ...document.warnings].map((fault) => ({ at: fault.pos[0], text: syntax(fault) }));
  if (found.length > 0) return found;
  const refuse = (node: unknown, text: string): void => void found.push({ at: startOf(node) ?? 0, text });
  visit(document, (_, node, above) => {
    const { tag } = (node ?? {}) as { tag?: string };
    if (tag !== undefined && !TAGS.includes(tag)) refuse(node, `tags: expected none; got ${tag}`);
    if (isAlias(node)) {
      const anchored = node.resolve(document);
      if (!anchored) refuse(node, `anchors: expected one before each alias; got *${node.source} without`);
      else if (above.includes(anchored)) refuse(node, `anchors: expected none inside itself; got *${node.source}`);
    }
    if (isMap(node) && node.items.length > MOST_KEYS)
      refuse(node, `keys: expected at most ${MOST_KEYS} in a map; got ${node.items.length}`);
    const keys = new Set<string>();
    for (const pair of isMap(node) ? node.items : []) {
      const { key, value } = pair;
      if (!isScalar(key) || key.value === null)
        refuse(isNode(key) ? key : value, `keys: expected text; got ${kindOf(key)}`);
      else if (keys.has(keyOf(pair))) refuse(key, 'keys: expected each once in a map; got this one twice');
      else keys.add(keyOf(pair));
    }
  });
  return found.toSorted((a, b) => a.at - b.at);
}

function kindOf(key: unknown): string {
  if (isAlias(key)) return 'an alias';
  return isCollection(key) ? 'a list or map' : 'nothing';
}

/** Those that say what is there anyway. */
const TAGS = ['str', 'int', 'float', 'bool', 'null', 'seq', 'map'].map((name) => `tag:yaml.org,2002:${name}`);

function syntax({ code, message }: { code: string; message: string }): string {
  if (code === 'MULTIPLE_DOCS') return 'documents: expected one in a file; got another after ---';
  return `YAML: ${withoutCredentials(`${message.charAt(0).toLowerCase()}${message.slice(1)}`)}`;
}

function offsetOf(document: Document, path: Path, part: 'key' | 'value'): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, step] of path.entries()) {
    const below = isAlias(node) ? node.resolve(document) : node;
    const pair = isMap(below) ? below.items.find((item) => keyOf(item) === String(step)) : undefined;
    const next: unknown = pair ? pair.value : isSeq(below) ? below.items[Number(step)] : undefined;
    const key = pair ? startOf(pair.key) : undefined;
    const wanted = part === 'key' && depth === path.length - 1 ? (key ?? startOf(next)) : (startOf(next) ?? key);
    if (wanted === undefined) break;
    offset = wanted;
    node = next;
  }
  return offset;
}

function keyOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}
