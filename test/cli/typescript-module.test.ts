import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';

import { folder } from '../pipelines/files.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const STAGE = pathToFileURL(join(ROOT, 'dist/pipelines/stage.js')).href;
const ZOD = pathToFileURL(join(ROOT, 'node_modules/zod/index.js')).href;

/** Not with `--check`, which runs no module. */
const segr1 = async (yaml: string): Promise<{ code: number; stderr: string }> =>
  promisify(execFile)(process.execPath, [join(ROOT, 'dist/cli.js'), 'pipeline', yaml], { cwd: dirname(yaml) }).then(
    ({ stderr }) => ({ code: 0, stderr }),
    (error: { code: number; stderr: string }) => error,
  );

/** Since 22.18; earlier ones only when asked. */
const reads = Boolean((process.features as { typescript?: unknown }).typescript);

describe('a stage of one’s own in TypeScript', () => {
  it('is taken where Node.js reads it, else refused for that and for nothing else', async () => {
    const { file } = folder();
    file(
      'mine.ts',
      `import { stage } from '${STAGE}';
       import { z } from '${ZOD}';
       const name: string = 'mine';
       export const mine = stage({ name, options: z.strictObject({}), build: () => (rows: unknown) => rows });`,
    );
    const yaml = file(
      'p.yaml',
      'operators: [mine.ts]\nstages: [{ load: { scenes: { count: 1 }, frame: 64 } }, mine, wriite]\n',
    );
    const { code, stderr } = await segr1(yaml);
    expect(code).toBe(2);
    expect(stderr.replaceAll(yaml, 'p.yaml').trim().split('\n')).toEqual([
      reads
        ? expect.stringMatching(/^p\.yaml:2:68 {2}no stage is called "wriite"; known: .*nearest: write$/)
        : `p.yaml:1:13  operators: expected a module that loads; got TypeScript, which Node.js ${process.versions.node} does not read, in "mine.ts"; way out: Node.js 22.18 or newer, or compile it to JavaScript`,
    ]);
  });
});
