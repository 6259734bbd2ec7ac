import { messageOf, OutOfMemoryError } from '../../../errors.js';

/** Messages of the runtime, CUDA and their libraries when memory runs out. */
const SAID = [
  /smaller than requested bytes of (\d+)/,
  /Failed to allocate memory(?: for requested buffer of size (\d+))?/,
  /out of memory/i,
  /ALLOC_FAILED/,
  /bad_alloc/,
  /Failed to find a free memory block/,
];

/** The error, as `OutOfMemoryError` if its message says so. */
export function recognised(error: unknown): Error {
  const message = messageOf(error);
  const found = SAID.map((pattern) => pattern.exec(message)).find((match) => match !== null);
  if (!found) return error instanceof Error ? error : new Error(message);
  const bytes = found[1] === undefined ? undefined : Number(found[1]);
  return new OutOfMemoryError(
    `expected room for ${bytes === undefined ? 'what it computes' : `${bytes} bytes more`}; got ${said(message)}`,
    bytes,
  );
}

/** The informative sentence of a message, without the runtime's source file and function. */
function said(message: string): string {
  const line = message.split('\n').find((one) => SAID.some((pattern) => pattern.test(one))) ?? message;
  const [, sentence = line] =
    /(Available memory of .*|Failed to .*|CUDA failure .*|\S*ALLOC_FAILED.*|out of memory.*)/i.exec(line) ?? [];
  return sentence.trim();
}
