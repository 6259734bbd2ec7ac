import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let scratch: string;

/** Tests find their temporary folders in one of the run's own. */
export function setup(): void {
  scratch = mkdtempSync(join(tmpdir(), 'segr1-tests-'));
  for (const name of ['TMPDIR', 'TEMP', 'TMP']) process.env[name] = scratch;
}

export function teardown(): void {
  rmSync(scratch, { recursive: true, force: true });
}
