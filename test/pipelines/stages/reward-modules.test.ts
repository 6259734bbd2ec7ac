import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { readRows } from '../../../src/io/arrow/shard.js';
import { readPipeline, resolvedYaml } from '../../../src/pipelines/config/read.js';
import { loadRewards, RewardStageOptions, scoringOf } from '../../../src/pipelines/stages/reward-modules.js';
import { run } from '../../../src/pipelines/run/run.js';
import type { Masked } from '../../../src/records.js';
import { folder, refusal } from '../files.js';

const STUB = fileURLToPath(new URL('../../fixtures/stub-policy.mjs', import.meta.url));
const GOOD = 'export function reward({ completions, sample }) { return completions.map(() => sample.id.length); }';

/** A file with one pipeline of scenes, a policy that guesses, and these options of `reward`; modules lie beside it. */
function pipeline(options: string, modules: Readonly<Record<string, string>> = {}): string {
  const { file } = folder();
  for (const [name, text] of Object.entries(modules)) file(name, text);
  return file(
    'p.yaml',
    `operators: [${JSON.stringify(STUB)}]\npolicy: { checkpoint: . }\nsegmenter: { kind: grabcut, size: 32 }\nstages:\n  - load: { scenes: { count: 3 }, frame: 64 }\n  - guess\n  - mask\n  - reward: ${options}\n  - write\n`,
  );
}

describe('rewards of one’s own', () => {
  it('are scored by the module, and have a column', async () => {
    const root = join(folder().path, 'run');
    const own = {
      'own.mjs': 'export const reward = async ({ prompts }) => prompts.map((_, g) => (g === 0 ? null : g));',
    };
    await run(
      await readPipeline(
        pipeline('{ functions: { own: ./own.mjs }, weights: { own: 2, iou: 0.7, tieredIoU: 0 } }', own),
      ),
      { folder: root },
    );
    for await (const { rewards } of readRows(join(root, 'rows'))) {
      const { byName = {}, total = [] } = rewards ?? {};
      expect(Object.keys(byName)).toEqual(['format', 'iou', 'structure', 'own']);
      expect(byName['own']).toEqual(total.map((_, g) => (g === 0 ? NaN : g)));
      expect(total[0]).toBeCloseTo(0.7 * byName['iou'][0], 6);
    }
  });

  it('stop the run where they answer with something else, and name module and row', async () => {
    const own = { 'own.mjs': 'export const reward = () => [1, "2"];' };
    const broken = run(await readPipeline(pipeline('{ functions: { own: own.mjs }, weights: { own: 1 } }', own)), {
      folder: join(folder().path, 'run'),
    });
    expect(await refusal(broken)).toMatch(
      /reward {2}own of own\.mjs, row e0\/\d\/\S+: expected \d numbers or nulls, one a completion; got /,
    );
  });

  it.each(['NaN', 'Infinity'])('that are %s mark their rows where no step could be left out for it', async (value) => {
    const root = join(folder().path, 'run');
    const own = {
      'own.mjs': `export const reward = ({ prompts, sample }) => prompts.map(() => (sample.id.startsWith('e0/1/') ? ${value} : 1));`,
    };
    await run(
      await readPipeline(pipeline('{ functions: { own: own.mjs }, weights: { own: 1 } }', own), {
        set: ['tolerate=1'],
      }),
      { folder: root },
    );
    const marks: string[] = [];
    for await (const { id, skipped } of readRows(join(root, 'rows')))
      if (skipped) marks.push(`${id.slice(0, 5)}${skipped.stage}: ${skipped.reason}`);
    expect(marks).toEqual([`e0/1/reward: not finite: own gave ${value} for completion 0`]);
    const strict = run(await readPipeline(pipeline('{ functions: { own: own.mjs }, weights: { own: 1 } }', own)), {
      folder: join(folder().path, 'run'),
    });
    expect(await refusal(strict)).toContain(`got one more (not finite: own gave ${value} for completion 0)`);
  });

  it.each([
    [
      'no such file',
      '{ functions: { own: gone.mjs }, weights: { own: 1 } }',
      'p.yaml:8:33  reward.functions.own: expected a file or folder; got "gone.mjs", and gone.mjs is not there',
    ],
    [
      'no reward in it',
      '{ functions: { own: other.mjs }, weights: { own: 1 } }',
      'p.yaml:8:33  reward.functions.own: expected a module that exports a function "reward"; got score in "other.mjs"',
    ],
    [
      'one that does not load',
      '{ functions: { own: bad.mjs }, weights: { own: 1 } }',
      'p.yaml:8:33  reward.functions.own: expected a module that loads; got no luck in "bad.mjs"',
    ],
    [
      'no weight',
      '{ functions: { own: own.mjs } }',
      'p.yaml:8:33  reward.functions.own: expected a weight "own" in weights; got "own.mjs"',
    ],
    [
      'a name that is taken',
      '{ functions: { iou: own.mjs } }',
      'p.yaml:8:33  reward.functions.iou: expected a name that no part has; got "own.mjs"',
    ],
    [
      'a weight of nothing',
      '{ weights: { boxIou: 1 } }',
      'reward.weights has no option "boxIou"; known: format, iou, structure, pointCount, length, boxIoU, noTarget, matching, tieredIoU; nearest: boxIoU',
    ],
    [
      'a length that is not said',
      '{ weights: { length: 1 } }',
      'reward.length: expected { max, cache } beside weights.length; got nothing',
    ],
    [
      'a cache over the maximum',
      '{ weights: { length: 1 }, length: { max: 4, cache: 5 } }',
      'reward.length.cache: expected at most max; got 5',
    ],
  ])('refuses %s before anything is opened', async (_, options, expected) => {
    const message = await refusal(
      readPipeline(
        pipeline(options, {
          'own.mjs': GOOD,
          'other.mjs': 'export const score = 1;',
          'bad.mjs': 'throw new Error("no luck");',
        }),
      ),
    );
    expect(message).toContain(expected);
  });

  it('are resolved to a pipeline that reads back the same', async () => {
    const read = await readPipeline(
      pipeline('{ functions: { own: own.mjs }, weights: { own: 1 } }', { 'own.mjs': GOOD }),
    );
    const again = await readPipeline(folder().file('again.yaml', resolvedYaml(read)));
    expect(again.stages.map(({ options }) => options)).toEqual(read.stages.map(({ options }) => options));
  });
});

describe('loadRewards', () => {
  it('hands over the row by parts', async () => {
    const file = folder().file(
      'own.mjs',
      'export const reward = (input) => { globalThis.__seen = Object.keys(input); return [input.sample.id.length]; };',
    );
    const options = RewardStageOptions.parse({ functions: { own: file }, weights: { own: 3 } });
    const [own] = await loadRewards(options);
    expect(own).toMatchObject({ name: 'own', weight: 3, module: file });
    expect(
      await own?.score({ id: 'four', completions: [], prompts: [], masks: [], formats: [] } as unknown as Masked),
    ).toEqual([4]);
    expect((globalThis as { __seen?: unknown }).__seen).toEqual([
      'completions',
      'prompts',
      'masks',
      'formats',
      'sample',
    ]);
    expect(scoringOf(options)).toEqual({
      weights: { format: 0, iou: 0, structure: 0 },
      legacy: { structure: false },
    });
    expect(scoringOf(RewardStageOptions.parse({})).weights).toEqual({ format: 1, iou: 0.7, structure: 0.3 });
  });
});
