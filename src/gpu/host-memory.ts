import { totalmem } from 'node:os';

/** Bytes of memory that this process may use: the machine's, or a container's lower limit. */
export function hostMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}
