import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node, type Pair } from 'yaml';

import { messageOf, shortPath, UsageError } from '../../errors.js';

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

/**
 * Reads one YAML document.
 *
 * @param file named in messages, relative to the working folder where that is shorter.
 * @throws {UsageError} one line a mistake: syntax, repeated keys, unknown tags and anchors, too many aliases.
 */
export function locate(text: string, file: string): Located {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const name = shortPath(file);
  const position = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0)
    throw new UsageError(faults.map((fault) => `${position(fault.pos[0])}  ${syntax(fault)}`).join('\n'));
  try {
    const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
    const offset = (path: Path, part: 'key' | 'value' = 'value'): number => offsetOf(document, path, part);
    return { file, value, offset, at: (path, part) => position(offset(path, part)) };
  } catch (error) {
    throw new UsageError(
      `${position(0)}  anchors: expected each alias to have an anchor, and at most ${MOST_ALIASES} repeats; got ${messageOf(error)}`,
    );
  }
}

function syntax({ code, message }: { code: string; message: string }): string {
  if (code === 'DUPLICATE_KEY') return 'keys: expected each once in a map; got this one twice';
  if (code === 'MULTIPLE_DOCS') return 'documents: expected one in a file; got another after ---';
  return `YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
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
