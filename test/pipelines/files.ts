import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The module of stages without models. */
export const STUBS = fileURLToPath(new URL('../fixtures/stub-stages.mjs', import.meta.url));

/** A new folder, and what to call to put a file in it. */
export function folder(): {
  readonly path: string;
  readonly file: (name: string, text: string | Uint8Array) => string;
} {
  const path = mkdtempSync(join(tmpdir(), 'segr1-'));
  return {
    path,
    file(name, text) {
      const full = join(path, name);
      writeFileSync(full, text);
      return full;
    },
  };
}

/** A file with one pipeline of stub stages. */
export function stubPipeline(stages: string, settings = ''): string {
  return folder().file('stub.yaml', `operators: [${JSON.stringify(STUBS)}]\n${settings}\nstages: ${stages}\n`);
}

/** The message that a promise rejects with; paths of temporary folders taken off. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as Error).message.replaceAll(/\/[^\s"]*\/segr1-[^/\s"]+\//g, '');
  }
  throw new Error('expected a refusal; got none');
}
