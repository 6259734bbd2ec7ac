import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Where reference results lie: the full sets where they are at hand, else the drawn ones that are committed. */
export function goldenFolder(): string {
  const shared = here('../../../shared/golden');
  return process.env['SEGR1_GOLDEN'] ?? (existsSync(shared) ? shared : fixturesFolder());
}

/** Reference results of drawn images, which every clone has. */
export function fixturesFolder(): string {
  return here('fixtures');
}

/** Where photos and their masks lie; it may not exist. */
export function dataFolder(): string {
  return process.env['SEGR1_DATA'] ?? here('../../../shared/data');
}

function here(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}
