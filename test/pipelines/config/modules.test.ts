import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readPipeline } from '../../../src/pipelines/config/read.js';
import { run } from '../../../src/pipelines/run/run.js';
import { folder, refusal } from '../files.js';

const TINY = join(import.meta.dirname, '../../../data/models/tiny');
const LOAD = '{ load: { scenes: { count: 4 }, frame: 112 } }';

/** A pipeline that names a module, in each place that a module can be named. */
const NAMED = {
  operators: `operators: [own.mjs]\nstages: [${LOAD}, own, write]\n`,
  segmenter: `segmenter: { module: own.mjs, size: 3 }\nstages: [${LOAD}, fit, write]\n`,
  reward: `policy: { checkpoint: ${TINY} }\nsegmenter: { kind: grabcut }\nstages: [${LOAD}, rollout, parse, mask, { reward: { weights: { own: 1 }, functions: { own: own.mjs } } }, write]\n`,
  objective: `policy: { checkpoint: ${TINY} }\nsegmenter: { kind: grabcut }\nstages: [${LOAD}, rollout, parse, mask, reward, advantage, { update: { objective: own.mjs } }]\n`,
  evaluation: `a: { policy: { checkpoint: ${TINY} }, segmenter: { kind: grabcut }, evaluate: b, stages: [${LOAD}, rollout, parse, mask, reward, advantage, update] }\nb: { policy: { checkpoint: ${TINY} }, segmenter: { module: own.mjs }, stages: [${LOAD}, rollout, parse, mask, reward, tally] }\n`,
};

/** Its file, beside a module that leaves a trace where it is run. */
function place(yaml: string): { readonly file: string; readonly module: string; readonly ran: () => boolean } {
  const { path, file } = folder();
  const module = file(
    'own.mjs',
    `import { writeFileSync } from 'node:fs';\nwriteFileSync(${JSON.stringify(join(path, 'ran'))}, '');\n`,
  );
  return { file: file('p.yaml', yaml), module, ran: () => existsSync(join(path, 'ran')) };
}

describe('a pipeline that names a module', () => {
  it.each(Object.entries(NAMED))('is looked at without running it: %s', async (_, yaml) => {
    const { file, module, ran } = place(yaml);
    const pipeline = await readPipeline(file, { runModules: false });
    expect(pipeline.unchecked).toEqual([module]);
    expect(ran()).toBe(false);
    expect(await refusal(run(pipeline, { folder: join(folder().path, 'run') }))).toContain(
      'run: expected a pipeline whose modules were run; got one that was only looked at',
    );
  });

  it.each(Object.entries(NAMED))('is refused for its other mistakes before it is run: %s', async (_, yaml) => {
    const { file, ran } = place(yaml.replaceAll('count: 4', 'count: four'));
    expect(await refusal(readPipeline(file))).toContain('load.scenes.count: expected a number; got "four"');
    expect(ran()).toBe(false);
  });

  it.each(Object.entries(NAMED))('is refused for the module once it is run: %s', async (_, yaml) => {
    const { file, ran } = place(yaml);
    expect(await refusal(readPipeline(file))).toMatch(/p\.yaml:\d+:\d+ {2}.*own\.mjs/);
    expect(ran()).toBe(true);
  });

  it('is refused for a module that is not there, without running any', async () => {
    const { file, ran } = place(`operators: [own.mjs, gone.mjs]\nstages: [${LOAD}, write]\n`);
    expect(await refusal(readPipeline(file, { runModules: false }))).toBe(
      'p.yaml:1:22  operators: expected a module; got "gone.mjs", which is not there',
    );
    expect(ran()).toBe(false);
  });

  it('knows no column and no model of a stage that was not run', async () => {
    const { file } = place(`operators: [own.mjs]\nstages: [source, { any: { how: 1 } }, mask, sink]\n`);
    expect(await refusal(readPipeline(file, { runModules: false }))).toBe(
      'p.yaml:2:39  mask uses a segmenter: expected the key "segmenter" in the pipeline; got none',
    );
    const other = place(`operators: [own.mjs]\nstages: [source, { any: { how: 1 } }, parse, sink]\n`);
    const { stages } = await readPipeline(other.file, { runModules: false });
    expect(stages.map(({ name, options }) => [name, options])).toEqual([
      ['source', {}],
      ['any', { how: 1 }],
      ['parse', expect.anything()],
      ['sink', {}],
    ]);
  });
});
