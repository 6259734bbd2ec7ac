import { shown } from '../errors.js';
import { latin1, type ByteReader } from './pickle-bytes.js';
import { unescaped, unescapedUnicode } from './pickle-text.js';

/** Values in a pickle of plain data. */
export type Plain = null | boolean | number | string | Plain[] | { [key: string]: Plain };

/** State of unpacking. */
export interface Machine {
  readonly reader: ByteReader;
  readonly stack: Plain[];
  /** Marked heights of the stack. */
  readonly marks: number[];
  readonly memo: Map<number, Plain>;
}

/** What an opcode does; a RangeError says what was wrong. @see CPython, Lib/pickletools.py */
export const opcodes: ReadonlyMap<number, (machine: Machine) => void> = new Map(
  Object.entries<(machine: Machine) => void>({
    '\x80': ({ reader }) => {
      const protocol = reader.byte();
      if (protocol > 5) throw new RangeError(`PROTO: expected a protocol of at most 5; got ${protocol}`);
    },
    // A frame's length is a hint for readers of a stream.
    '\x95': ({ reader }) => void reader.unsigned(8),
    '(': ({ marks, stack }) => void marks.push(stack.length),

    N: pushing(() => null),
    '\x88': pushing(() => true),
    '\x89': pushing(() => false),
    I: pushing((reader) => decimalOrTruth(reader.line())),
    L: pushing((reader) => whole(reader.line().replace(/L$/, ''))),
    K: pushing((reader) => reader.byte()),
    M: pushing((reader) => reader.unsigned(2)),
    J: pushing((reader) => reader.int32()),
    '\x8a': pushing((reader) => littleEndian(reader.bytes(reader.byte()))),
    F: pushing((reader) => real(reader.line())),
    G: pushing((reader) => reader.double()),

    S: pushing((reader) => unescaped(reader.line())),
    U: pushing((reader) => textOf(reader.bytes(reader.byte()))),
    T: pushing((reader) => textOf(reader.bytes(reader.unsigned(4)))),
    V: pushing((reader) => unescapedUnicode(reader.line())),
    X: pushing((reader) => utf8(reader.bytes(reader.unsigned(4)))),
    '\x8c': pushing((reader) => utf8(reader.bytes(reader.byte()))),
    '\x8d': pushing((reader) => utf8(reader.bytes(reader.unsigned(8)))),

    ']': pushing(() => []),
    ')': pushing(() => []),
    '}': pushing(() => Object.create(null) as Record<string, Plain>),
    l: (machine) => void machine.stack.push(sinceMark(machine)),
    t: (machine) => void machine.stack.push(sinceMark(machine)),
    '\x85': (machine) => void machine.stack.push(last(machine, 1)),
    '\x86': (machine) => void machine.stack.push(last(machine, 2)),
    '\x87': (machine) => void machine.stack.push(last(machine, 3)),
    d: (machine) => {
      const items = sinceMark(machine);
      setItems(Object.create(null) as Record<string, Plain>, items, machine);
    },
    a: (machine) => append(machine, last(machine, 1)),
    e: (machine) => append(machine, sinceMark(machine)),
    s: (machine) => {
      const items = last(machine, 2);
      setItems(mapBelow(machine), items, machine);
    },
    u: (machine) => {
      const items = sinceMark(machine);
      setItems(mapBelow(machine), items, machine);
    },

    p: (machine) => remember(machine, whole(machine.reader.line())),
    q: (machine) => remember(machine, machine.reader.byte()),
    r: (machine) => remember(machine, machine.reader.unsigned(4)),
    '\x94': (machine) => remember(machine, machine.memo.size),
    g: (machine) => recall(machine, whole(machine.reader.line())),
    h: (machine) => recall(machine, machine.reader.byte()),
    j: (machine) => recall(machine, machine.reader.unsigned(4)),
  }).map(([character, run]) => [character.charCodeAt(0), run]),
);

/** Names of opcodes that plain data does not need, for messages; some of them call functions named in the file. */
export const REFUSED: ReadonlyMap<number, string> = new Map(
  Object.entries({
    '0': 'POP',
    '1': 'POP_MARK',
    '2': 'DUP',
    B: 'BINBYTES',
    C: 'SHORT_BINBYTES',
    P: 'PERSID',
    Q: 'BINPERSID',
    R: 'REDUCE',
    b: 'BUILD',
    c: 'GLOBAL',
    i: 'INST',
    o: 'OBJ',
    '\x81': 'NEWOBJ',
    '\x82': 'EXT1',
    '\x83': 'EXT2',
    '\x84': 'EXT4',
    '\x8b': 'LONG4',
    '\x8e': 'BINBYTES8',
    '\x8f': 'EMPTY_SET',
    '\x90': 'ADDITEMS',
    '\x91': 'FROZENSET',
    '\x92': 'NEWOBJ_EX',
    '\x93': 'STACK_GLOBAL',
    '\x96': 'BYTEARRAY8',
    '\x97': 'NEXT_BUFFER',
    '\x98': 'READONLY_BUFFER',
  }).map(([character, name]) => [character.charCodeAt(0), name]),
);

function pushing(read: (reader: ByteReader) => Plain): (machine: Machine) => void {
  return ({ reader, stack }) => void stack.push(read(reader));
}

function sinceMark({ stack, marks }: Machine): Plain[] {
  const mark = marks.pop();
  if (mark === undefined || mark > stack.length) throw new RangeError('expected a mark on the stack; got none');
  return stack.splice(mark);
}

function last({ stack, marks }: Machine, count: number): Plain[] {
  if (stack.length - (marks.at(-1) ?? 0) < count)
    throw new RangeError(`expected ${count} values on the stack; got ${stack.length}`);
  return stack.splice(stack.length - count);
}

function append({ stack }: Machine, items: readonly Plain[]): void {
  const list = stack.at(-1);
  if (!Array.isArray(list)) throw new RangeError(`expected a list to append to; got ${shown(list)}`);
  for (const item of items) list.push(item);
}

function mapBelow({ stack }: Machine): Record<string, Plain> {
  const map = stack.pop();
  if (map === null || typeof map !== 'object' || Array.isArray(map))
    throw new RangeError(`expected a map to set items of; got ${shown(map)}`);
  return map;
}

function setItems(map: Record<string, Plain>, items: readonly Plain[], { stack }: Machine): void {
  if (items.length % 2 !== 0) throw new RangeError(`expected keys and values of a map; got ${items.length} in all`);
  for (let i = 0; i < items.length; i += 2) {
    const key = items[i];
    if (typeof key !== 'string' && !(typeof key === 'number' && Number.isInteger(key)))
      throw new RangeError(`expected a text or a whole number as key; got ${shown(key)}`);
    map[key] = items[i + 1];
  }
  stack.push(map);
}

function remember({ stack, memo }: Machine, index: number): void {
  const value = stack.at(-1);
  if (value === undefined) throw new RangeError('expected a value to remember; got an empty stack');
  memo.set(index, value);
}

function recall({ stack, memo }: Machine, index: number): void {
  const value = memo.get(index);
  if (value === undefined) throw new RangeError(`expected a value remembered as ${index}; got none`);
  stack.push(value);
}

/** Protocol 0 writes True as 01 and False as 00. */
function decimalOrTruth(text: string): number | boolean {
  return text === '01' ? true : text === '00' ? false : whole(text);
}

function whole(text: string): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new RangeError(`expected a whole number within 53 bits; got ${shown(text)}`);
  return value;
}

function real(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) throw new RangeError(`expected a number; got ${shown(text)}`);
  return value;
}

function littleEndian(bytes: Uint8Array): number {
  const magnitude = bytes.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);
  const value = Number(BigInt.asIntN(Math.max(8, bytes.length * 8), magnitude));
  if (!Number.isSafeInteger(value)) throw new RangeError(`LONG1: expected a whole number within 53 bits; got ${value}`);
  return value;
}

function textOf(bytes: Uint8Array): string {
  try {
    return utf8(bytes);
  } catch {
    return latin1(bytes);
  }
}

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new RangeError(`expected a text in UTF-8; got ${bytes.length} bytes that are not`);
  }
}
