import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { UsageError } from '../../../src/errors.js';
import { nearest } from '../../../src/nearest.js';
import { readPipeline, resolvedYaml } from '../../../src/pipelines/config/read.js';
import { fixturesFolder } from '../../golden/golden.js';
import { folder, refusal, STUBS, stubPipeline } from '../files.js';

const scenes = '{ load: { scenes: { count: 4 }, frame: 64 } }';

/** What is said about one pipeline, a line each. */
async function lines(text: string, set: readonly string[] = []): Promise<string[]> {
  return (await refusal(readPipeline(folder().file('p.yaml', text), { set }))).split('\n');
}

describe('readPipeline', () => {
  it('fills in defaults and resolves names, kinds and paths', async () => {
    const { path, file } = folder();
    mkdirSync(join(path, 'sam'));
    const pipeline = await readPipeline(
      file('p.yaml', `policy: { checkpoint: sam }\nsegmenter: { kind: grabcut }\nstages: [${scenes}]`),
    );
    expect(pipeline.name).toBe('p');
    expect(pipeline.settings).toMatchObject({
      seed: 0,
      window: 8,
      imageCacheMegabytes: 256,
      tolerate: 0,
      policy: { checkpoint: join(path, 'sam'), train: 'full' },
      segmenter: { kind: 'grabcut', size: 64 },
    });
    expect(pipeline.stages[0].options).toMatchObject({ frame: 64, epochs: 1, shuffle: true });
  });

  it('reads back what it resolved', async () => {
    const { file } = folder();
    const pipeline = await readPipeline(
      file('p.yaml', `segmenter: { kind: grabcut }\nstages: [${scenes}, fit, write]`),
    );
    const again = await readPipeline(file('again.yaml', resolvedYaml(pipeline)));
    expect({ ...again, file: '' }).toEqual({ ...pipeline, file: '' });
  });

  it.each([
    ['a repeated key', 'seed: 1\nseed: 2\n', 'p.yaml:2:1  keys: expected each once in a map; got this one twice'],
    [
      'an open bracket',
      'stages: [a\n',
      'p.yaml:2:1  YAML: flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    [
      'an alias without anchor',
      'stages: *gone\n',
      'p.yaml:1:9  anchors: expected one before each alias; got *gone without',
    ],
    ['an anchor inside itself', 'seed: &a [*a]\n', 'p.yaml:1:11  anchors: expected none inside itself; got *a'],
    [
      'one deeper inside itself',
      'x: &a\n  y: { z: [1, *a] }\n',
      'p.yaml:2:15  anchors: expected none inside itself; got *a',
    ],
    ['a tag that YAML knows', 'seed: !!set { a }\n', 'p.yaml:1:13  tags: expected none; got tag:yaml.org,2002:set'],
    [
      'keys that are one in JavaScript',
      '1: {}\n"1": {}\n',
      'p.yaml:2:1  keys: expected each once in a map; got this one twice',
    ],
    ['a list for a key', '? [a]\n: b\n', 'p.yaml:1:3  keys: expected text; got a list or map'],
    ['no key', ': b\n', 'p.yaml:1:1  keys: expected text; got nothing'],
    ['an alias for a key', '&a x: 1\n*a : 2\n', 'p.yaml:2:1  keys: expected text; got an alias'],
    [
      'many open brackets',
      `seed: ${'['.repeat(1_000_000)}\n`,
      'p.yaml:1:71  nesting: expected at most 64 levels; got more',
    ],
    [
      'many levels of lists',
      `${'- '.repeat(200_000)}x\n`,
      'p.yaml:1:131  nesting: expected at most 64 levels; got more',
    ],
    [
      'many keys',
      Array.from({ length: 100_000 }, (_, i) => `k${i}: 1\n`).join(''),
      'p.yaml:1:1  keys: expected at most 1000 in a map; got 100000',
    ],
    [
      'a file of another kind',
      'a'.repeat(4_000_001),
      'p.yaml:1:1  file: expected at most 4000000 characters; got 4000001',
    ],
    ['a tag', 'seed: !big 3\n', 'p.yaml:1:7  YAML: unresolved tag: !big'],
    [
      'two documents',
      'seed: 1\n---\nseed: 2\n',
      'p.yaml:2:1  documents: expected one in a file; got another after ---',
    ],
    ['a list', '- load\n', 'p.yaml:1:1  file: expected a pipeline, or pipelines by name; got a list'],
    ['nothing', '', 'p.yaml:1:1  file: expected a pipeline, or pipelines by name; got null'],
  ])('refuses %s', async (_, text, message) => expect(await lines(text)).toEqual([message]));

  it('refuses a bomb of aliases at once', async () => {
    const levels = Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(', ')}]`);
    expect((await lines(`a0: &a0 [x]\n${levels.join('\n')}\n`))[0]).toContain(
      'p.yaml:1:1  anchors: expected at most 100 repeats; got Excessive alias count',
    );
  });

  it('says where a wrong value stands, what was expected and what came', async () => {
    expect(
      await lines(
        `seed: now\nwindow: 0\nsegmenter: { kind: sam9 }\nstages:\n  - load: { scenes: { count: four, rule: cold }, frame: 64 }\n  - write: {}\n`,
      ),
    ).toEqual([
      'p.yaml:1:7  seed: expected a number; got "now"',
      'p.yaml:2:9  window: expected at least 1; got 0',
      'p.yaml:3:20  segmenter.kind: expected one of "grabcut"|"sam2"; got "sam9"',
      'p.yaml:5:30  load.scenes.count: expected a number; got "four"',
      'p.yaml:5:42  load.scenes.rule: expected one of "warm"|"striped"|"largest"|"any"; got "cold"',
    ]);
  });

  it('lists known keys and stages beside unknown ones, the nearest pointed out', async () => {
    const [key, grabcut, option, stage] = await lines(
      `sede: 1\nsegmenter: { kind: grabcut, syze: 3 }\nstages:\n  - load: { scenes: { cuont: 4, count: 4 }, frame: 64 }\n  - wriite: {}\n`,
    );
    expect(grabcut).toBe(
      'p.yaml:2:29  segmenter has no option "syze"; known: kind, size, iterations, radius, threads; nearest: size',
    );
    expect(key).toBe(
      'p.yaml:1:1  pipeline has no option "sede"; known: seed, window, policy, segmenter, evaluate, checkpoints, run, tolerate, imageCacheMegabytes, operators, stages; nearest: seed',
    );
    expect(option).toBe(
      'p.yaml:4:23  load.scenes has no option "cuont"; known: kind, rule, count, seed, offset; nearest: count',
    );
    expect(stage).toMatch(/^p\.yaml:5:5 {2}no stage is called "wriite"; known: load, .*; nearest: write$/);
  });

  it.each([
    ['load.frame=1000000', 'load.frame: expected at most 16384; got 1000000'],
    ['load.frame=5000', 'load.frame: expected a square of at least 32 px and at most 4096 for scenes; got 5000x5000'],
    ['load.scenes.count=1000000000', 'load.scenes.count: expected at most 10000000; got 1000000000'],
    ['segmenter.threads=100000', 'segmenter.threads: expected at most 256; got 100000'],
  ])('refuses %s, which no machine has room for', async (set, message) => {
    const { file } = folder();
    const text = `segmenter: { kind: grabcut }\nstages: [${scenes}, fit, write]\n`;
    const refused = await refusal(readPipeline(file('p.yaml', text), { set: [set] }));
    expect(refused.split('\n')).toContain(`--set ${set}  ${message}`);
  });

  it('locates through anchors and aliases', async () => {
    expect(
      await lines(`x: { segmenter: { kind: grabcut }, stages: [${scenes}, { fit: &o { stop: 3 } }, { fit: *o }] }`),
    ).toEqual([
      'p.yaml:1:110  fit.stop: expected at most 1; got 3',
      'p.yaml:1:110  fit.stop: expected at most 1; got 3',
    ]);
  });

  it.each([
    [
      'a column that nobody adds',
      `[${scenes}, mask]`,
      'p.yaml:2:57  mask needs the column "prompts", which no earlier stage adds',
    ],
    [
      'two that write',
      `[${scenes}, write, write]`,
      'p.yaml:2:64  write writes rows: expected one such stage; got write before it',
    ],
    [
      'a stage after write',
      `[${scenes}, write, fit]`,
      'p.yaml:2:64  fit comes after write: expected write to be the last stage; got fit behind it',
    ],
    [
      'a start without rows',
      '[parse]',
      'p.yaml:2:10  parse cannot be the first stage: expected one that gives rows; got "parse"; way out: begin with load',
    ],
    [
      'rows twice',
      `[${scenes}, ${scenes}]`,
      'p.yaml:2:59  load gives rows and comes first: expected one such stage; got it as number 2',
    ],
    ['no stages', '[]', 'p.yaml:2:9  stages: expected at least 1 items; got []'],
    ['stages that are no list', '{ load: {} }', 'p.yaml:2:9  stages: expected a list; got {"load":{}}'],
    [
      'two names in one entry',
      '[{ load: {}, parse: {} }]',
      "p.yaml:2:10  stages.0: expected a stage's name, or a map of one name to its options; got neither",
    ],
    [
      'a folder that is not there',
      '[load: { images: gone, frame: 64 }]',
      'p.yaml:2:26  load.images: expected a file or folder; got "gone", and gone is not there',
    ],
    [
      'rules of an option',
      '[load: { scenes: { count: 1 }, frame: [64, 32] }]',
      'p.yaml:2:47  load.frame: expected a square of at least 32 px for scenes; got 64x32',
    ],
  ])('refuses %s', async (_, stages, message) => {
    expect((await lines(`segmenter: { kind: grabcut }\nstages: ${stages}\n`))[0]).toBe(message);
  });

  it('refuses a stage whose model is not named', async () => {
    expect(await lines(`stages: [${scenes}, fit]`)).toEqual([
      'p.yaml:1:57  fit uses a segmenter: expected the key "segmenter" in the pipeline; got none',
    ]);
  });

  it('checks rules that span stages', async () => {
    const file = stubPipeline('[rows, guess, { teach: { groupsPerStep: 9 } }]', 'window: 8');
    expect(await refusal(readPipeline(file))).toBe(
      'stub.yaml:3:49  teach.groupsPerStep: expected at most the window of 8; got 9',
    );
  });
});

describe('names of pipelines', () => {
  const two = `near: { stages: [${scenes}] }\nfar: { stages: [${scenes}] }\n`;

  it('takes a name from a file of several', async () => {
    expect((await readPipeline('far', { pipelinesFile: folder().file('all.yaml', two) })).name).toBe('far');
  });

  it('offers the nearest names', async () => {
    const file = folder().file('all.yaml', two);
    expect(await refusal(readPipeline('naer', { pipelinesFile: file }))).toBe(
      'all.yaml  no pipeline is called "naer"; known: near, far; nearest: near, far',
    );
  });

  it('asks which one of several in a file', async () => {
    expect(await refusal(readPipeline(folder().file('all.yaml', two)))).toBe(
      'all.yaml:1:1  file: expected one pipeline; got near, far; way out: segr1 pipeline near --pipelines all.yaml',
    );
  });

  it('takes the one name of a file', async () => {
    expect((await readPipeline(folder().file('all.yaml', `near: { stages: [${scenes}] }\n`))).name).toBe('near');
  });

  it('refuses a file that is not there', async () => {
    expect(await refusal(readPipeline('gone/train.yaml'))).toContain(
      'gone/train.yaml  pipeline: expected a YAML file; got ENOENT',
    );
  });
});

describe('--set', () => {
  const text = `segmenter: { kind: grabcut }\nstages: [${scenes}, fit, { write: {} }]`;
  const set = (...values: string[]) => readPipeline(folder().file('p.yaml', text), { set: values });

  it('takes null for a key that is not written, where it may be absent', async () => {
    const { stages } = await set('load.limit=3', 'load.limit=null', 'load.shuffle=~', 'load.split=null');
    expect(stages[0].options).toMatchObject({ shuffle: true });
    expect(stages[0].options).not.toHaveProperty('limit');
    expect(await refusal(set('load.splti=null'))).toContain('load has no option "splti"');
  });

  it('overrides keys of the pipeline and options of its stages, in a bare one too', async () => {
    const { settings, stages } = await set(
      'seed=3',
      'segmenter.size=32',
      'load.scenes.count=96',
      'fit.maxClicks=2',
      'fit.maxClicks=3',
    );
    expect(settings).toMatchObject({ seed: 3, segmenter: { kind: 'grabcut', size: 32 } });
    expect(stages.map(({ options }) => options)).toMatchObject([
      { scenes: { count: 96 }, frame: 64 },
      { maxClicks: 3 },
      {},
    ]);
  });

  it.each([
    ['seed', '--set seed  expected key=value; got "seed"; way out: --set rollout.group=16'],
    ['seed=[', '--set seed=[  value: expected YAML; got "["'],
    ['seed=soon', '--set seed=soon  seed: expected a number; got "soon"'],
    [
      'sede=3',
      '--set sede=3  this pipeline has no stage and no key "sede"; known: load, fit, write, seed, window, policy, segmenter, evaluate, checkpoints, run, tolerate, imageCacheMegabytes, operators; nearest: seed',
    ],
    ['rollout.group=16', '--set rollout.group=16  this pipeline has no stage and no key "rollout"; known: load, fit'],
    ['fit.maxClick=2', '--set fit.maxClick=2  fit has no option "maxClick"; known: maxClicks, '],
    ['segmenter.kind=sam9', '--set segmenter.kind=sam9  segmenter.kind: expected one of "grabcut"|"sam2"; got "sam9"'],
    ['load.scenes=none', '--set load.scenes=none  load.scenes: expected a map; got "none"'],
    ['__proto__.seed=1', '--set __proto__.seed=1  this pipeline has no stage and no key "__proto__"'],
    ['stages=[]', '--set stages=[]  this pipeline has no stage and no key "stages"'],
  ])('refuses %s', async (value, message) => expect(await refusal(set(value))).toContain(message));

  it('gives a segmenter of another kind none of the former options, wherever the kind stands', async () => {
    const checkpoint = join(fixturesFolder(), 'segmenter', 'tiny-128');
    const kinds = ['segmenter.kind=sam2', `segmenter.checkpoint=${checkpoint}`];
    for (const order of [kinds, kinds.toReversed()]) {
      const { settings } = await readPipeline('fit', { set: order });
      expect(settings.segmenter).toMatchObject({
        kind: 'sam2',
        checkpoint,
        multimask: false,
        legacy: { frame: false, channelSwap: false },
      });
    }
    expect((await readPipeline('fit', { set: ['segmenter.kind=grabcut'] })).settings.segmenter).toMatchObject({
      kind: 'grabcut',
      size: 64,
    });
    const policy = join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl');
    const refused = await refusal(
      readPipeline('fit', { set: ['segmenter.kind=sam2', `segmenter.checkpoint=${policy}`] }),
    );
    expect(refused).toContain('segmenter.checkpoint: ');
    expect(refused).toContain('model_type: expected "sam2" or "sam2_video"; got "qwen2_5_vl"');
  });
  it('tells of every mistake at once', async () => {
    expect((await refusal(set('sede=3', 'seed=x', 'fit.stop=7'))).split('\n')).toHaveLength(3);
  });

  it('refuses a name that two stages have', async () => {
    const file = folder().file('p.yaml', `segmenter: { kind: grabcut }\nstages: [${scenes}, fit, fit]`);
    expect(await refusal(readPipeline(file, { set: ['fit.stop=1'] }))).toBe(
      '--set fit.stop=1  fit: expected one stage of this name; got several; way out: change the file',
    );
  });
});

describe('operators', () => {
  it("adds a module's stages to the table", async () => {
    expect((await readPipeline(stubPipeline('[rows, guess]'))).stages.map(({ name }) => name)).toEqual([
      'rows',
      'guess',
    ]);
  });

  it.each([
    ['gone.mjs', '', 'operators: expected a module; got "gone.mjs", which is not there'],
    ['empty.mjs', 'export const x = 1;', 'operators: expected exports made by stage(…); got none in "empty.mjs"'],
    [
      'broken.mjs',
      'throw new Error("no luck")',
      'operators: expected a module that loads; got no luck in "broken.mjs"',
    ],
    [
      'taken.mjs',
      `import { rows } from ${JSON.stringify(STUBS)}; export const write = { ...rows, name: "write" };`,
      'operators: expected a name of its own; got "write", which is taken; way out: another name in "taken.mjs"',
    ],
  ])('refuses %s', async (name, code, message) => {
    const { file } = folder();
    if (code) file(name, code);
    expect(await refusal(readPipeline(file('p.yaml', `operators: [${name}]\nstages: [${scenes}]`)))).toBe(
      `p.yaml:1:13  ${message}`,
    );
  });

  it('checks their options as those of the built-in ones', async () => {
    const error = readPipeline(stubPipeline('[{ rows: { cuont: 3 } }]'));
    await expect(error).rejects.toBeInstanceOf(UsageError);
    expect(await refusal(error)).toBe('stub.yaml:3:20  rows has no option "cuont"; known: count; nearest: count');
  });
});

describe('nearest', () => {
  it.each([
    ['mask', ['mask', 'masks', 'load'], ['mask', 'masks']],
    ['rolout', ['rollout', 'load'], ['rollout']],
    ['aprse', ['parse', 'mask'], ['parse']],
    ['inflght', ['size', 'inflight'], ['inflight']],
    ['zzz', ['parse', 'mask'], []],
  ])('of %s', (word, known, expected) => expect(nearest(word, known)).toEqual(expected));
});
