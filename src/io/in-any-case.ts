import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The path under a folder as it is written there, in upper or lower case; as it is given where there is none. */
export function inAnyCase(folder: string, path: string): string {
  return path.split('/').reduce((above, name) => {
    const exact = join(above, name);
    if (existsSync(exact)) return exact;
    const other = namesIn(above).find((one) => one.toLowerCase() === name.toLowerCase());
    return other === undefined ? exact : join(above, other);
  }, folder);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
