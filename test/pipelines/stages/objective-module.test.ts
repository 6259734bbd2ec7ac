import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readPipeline } from '../../../src/pipelines/config/read.js';
import { fixturesFolder } from '../../golden/golden.js';
import { folder, refusal } from '../files.js';

const tiny = join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl');
const MODULES = {
  'own.mjs': 'export const objective = ({ kl = 0 }) => ({ name: `own ${kl}`, kl, trace() {} });',
  'other.mjs': 'export const loss = 1;',
  'bad.mjs': 'throw new Error("no luck");',
};

/** A file with one pipeline that learns with these options of `update`; modules lie beside it. */
function pipeline(options: string): string {
  const { file } = folder();
  for (const [name, text] of Object.entries(MODULES)) file(name, text);
  return file(
    'p.yaml',
    `policy: { checkpoint: ${JSON.stringify(tiny)} }\nsegmenter: { kind: grabcut, size: 32 }\nstages:\n  - load: { scenes: { count: 3 }, frame: 112 }\n  - rollout\n  - parse\n  - mask\n  - reward\n  - advantage\n  - update: ${options}\n`,
  );
}

describe('an objective of one’s own', () => {
  it('is named by its module, which lies beside the file, with options of its own', async () => {
    const file = pipeline('{ objective: { module: ./own.mjs, options: { kl: 0.1 } } }');
    const { stages } = await readPipeline(file);
    expect(stages.find(({ name }) => name === 'update')?.options).toMatchObject({
      objective: { module: file.replace('p.yaml', 'own.mjs'), options: { kl: 0.1 } },
    });
  });

  it.each([
    [
      'no such file',
      '{ objective: { module: gone.mjs } }',
      /update\.objective\.module: expected a file or folder; got "gone\.mjs", and .*gone\.mjs is not there/,
    ],
    [
      'no objective in it',
      '{ objective: { module: other.mjs } }',
      /update\.objective: expected a module that exports a function "objective"; got loss in /,
    ],
    [
      'one that does not load',
      '{ objective: { module: bad.mjs } }',
      /update\.objective: expected a module that loads; got no luck in /,
    ],
    [
      'an option that a named objective has',
      '{ objective: { module: own.mjs }, clip: 0.1 }',
      /update\.clip: expected an objective that has it, of grpo\|.*; got a module/,
    ],
    [
      'an option that all named objectives have',
      '{ objective: { module: own.mjs }, kl: 0.1 }',
      /update\.kl: expected it among the module's own options; got it beside the module/,
    ],
    ['no such name', '{ objective: ppo }', /update\.objective: expected .*seg-r1.*; got "ppo"/],
  ])('%s is refused', async (_, options, message) => {
    expect(await refusal(readPipeline(pipeline(options)))).toMatch(message);
  });
});
