import { DataError } from '../errors.js';
import { byteReader } from './pickle-bytes.js';
import { opcodes, REFUSED, type Machine, type Plain } from './pickle-opcodes.js';

export interface PickleLimits {
  /** Bytes of the pickle. */
  readonly bytes?: number;
  /** Lists and maps inside one another. */
  readonly nesting?: number;
}

/**
 * Reads plain data that Python pickled: protocols 0 to 5 as far as they make lists, tuples, maps, texts and numbers.
 *
 * Nothing is ever called or imported: an opcode that would is refused. Byte strings of Python 2 are read as UTF-8, and
 * as
 * Latin-1 where they are not; tuples become lists; keys are texts, or whole numbers written as such.
 *
 * @param name stands for the bytes in messages.
 * @throws {DataError} for another opcode, by its name and position; for what is cut off, too large, or nested too deep.
 */
export function readPickle(
  bytes: Uint8Array,
  name: string,
  { bytes: most = 2 ** 29, nesting = 32 }: PickleLimits = {},
): Plain {
  if (bytes.length > most) throw new DataError(`${name}  pickle: expected at most ${most} bytes; got ${bytes.length}`);

  const reader = byteReader(bytes);
  const machine: Machine = { reader, stack: [], marks: [], memo: new Map() };
  for (;;) {
    const at = reader.at;
    const fault = (text: string): DataError => new DataError(`${name}  pickle, byte ${at}: ${text}`);
    if (at >= bytes.length) throw fault('expected an opcode; got the end of the file');
    const code = reader.byte();
    if (code === STOP) return only(machine, bytes.length, nesting, fault);
    const run = opcodes.get(code);
    if (!run) throw fault(`expected an opcode of plain data; got ${nameOf(code)}`);
    try {
      run(machine);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw fault(error.message);
    }
  }
}

const STOP = 0x2e;

function nameOf(code: number): string {
  const known = REFUSED.get(code);
  return `${known === undefined ? '' : `${known}, `}0x${code.toString(16).padStart(2, '0')}`;
}

function only({ stack, marks }: Machine, bytes: number, nesting: number, fault: (text: string) => DataError): Plain {
  const [value] = stack;
  if (stack.length !== 1 || marks.length > 0 || value === undefined)
    throw fault(`STOP: expected one value; got ${stack.length}`);
  // A value with two references counts twice: a small file may be endless when it is walked.
  let left = 4 * bytes;
  const walk = (part: Plain, depth: number): void => {
    if (depth > nesting) throw fault(`expected at most ${nesting} levels of lists and maps; got more`);
    if (--left < 0) throw fault(`expected at most ${4 * bytes} values in ${bytes} bytes; got more`);
    if (part === null || typeof part !== 'object') return;
    for (const child of Array.isArray(part) ? part : Object.values(part)) walk(child, depth + 1);
  };
  walk(value, 0);
  return value;
}
