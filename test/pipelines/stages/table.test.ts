import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { map } from 'rxjs';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

import { column, type OwnValues } from '../../../src/io/arrow/own-columns.js';
import type { Row, Scored } from '../../../src/records.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import { withinWindow } from '../../../src/pipelines/stages/constraints.js';
import { columnsOf, isStage, stage, pipelineContext, type Stage } from '../../../src/pipelines/stage.js';
import { stages } from '../../../src/pipelines/stages/table.js';
import { Settings } from '../../../src/pipelines/settings.js';
import { folder, refusal } from '../files.js';

const used = (name: string, options: unknown) => ({ name, options, stage: stages.get(name) as Stage });

describe('the stage table', () => {
  it.each([...stages.entries()])('%s goes by its own name, and its options have a JSON Schema', (name, entry) => {
    expect(entry.name).toBe(name);
    expect(z.toJSONSchema(entry.options, { io: 'input', unrepresentable: 'any' })).toMatchObject({
      type: 'object',
      additionalProperties: false,
    });
  });

  it('has one way in and one way out', () => {
    const kinds = [...stages.values()].map(({ kind = 'map' }) => kind);
    expect(kinds.filter((kind) => kind === 'sink')).toHaveLength(1);
    expect(kinds[0]).toBe('source');
  });

  it.each([
    [{ scenes: { count: 1 } }, ['id', 'image', 'task', 'set', 'frame', 'original', 'truth', 'candidates']],
    [
      { scenes: { count: 1, kind: 'main' } },
      ['id', 'image', 'task', 'set', 'frame', 'original', 'truth', 'candidates'],
    ],
    [{ images: 'x' }, ['id', 'image', 'task', 'set', 'frame', 'original']],
    [
      { images: 'x', masks: 'y', instruction: 'find it' },
      ['id', 'image', 'task', 'set', 'frame', 'original', 'truth', 'instruction'],
    ],
  ])('load of %j adds %j', (options, columns) => {
    const load = stages.get('load');
    expect(load && columnsOf(load, load.options.parse(options))).toEqual(columns);
  });

  it('leaves the seed and what is tolerated to the pipeline', () => {
    expect(stages.get('load')?.options.safeParse({ scenes: { count: 1 }, seed: 3 }).success).toBe(false);
  });

  it.each([
    [1, ['expected rollout.group of at least 2, to compare within a group; got 1']],
    [2, []],
  ])('advantage beside a group of %i', (group, texts) => {
    const advantage = stages.get('advantage');
    const around = pipelineContext(Settings.parse({}), [used('rollout', { group })]);
    expect(advantage?.rules?.(advantage.options.parse({}), around).map(({ text }) => text)).toEqual(texts);
  });

  it.each([
    [
      { dynamicSampling: 1 },
      { scale: 'batch' },
      'full',
      [['dynamicSampling', 'expected advantage.scale group or none, which look at each group by itself; got batch']],
    ],
    [{ dynamicSampling: 1 }, { scale: 'none' }, 'full', []],
    [{ kl: 0.1, reference: {} }, {}, 'full', []],
    [
      { kl: 0.1, reference: {} },
      {},
      { lora: { targets: ['q_proj'] } },
      [
        [
          'reference',
          'expected policy.train: full, where the reference has weights of its own; got an adapter, whose reference is the checkpoint without it',
        ],
      ],
    ],
  ])('update with %j beside %j and a policy that trains %j', (given, scale, train, refusals) => {
    const update = stages.get('update');
    const advantage = stages.get('advantage')?.options.parse(scale);
    const around = pipelineContext(Settings.parse({ policy: { checkpoint: 'x', train } }), [
      used('advantage', advantage),
    ]);
    expect(update?.rules?.(update.options.parse(given), around).map(({ option, text }) => [option, text])).toEqual(
      refusals,
    );
  });

  it.each([
    [{}, []],
    [{ temperature: 0.7, entropy: true }, []],
    [
      { topK: 20, topP: 0.9, minP: 0.1, repetitionPenalty: 1.1 },
      ['rollout.repetitionPenalty 1.1, rollout.topK 20, rollout.topP 0.9, rollout.minP 0.1'],
    ],
    [{ minP: 0.05 }, ['rollout.minP 0.05']],
  ])('update behind a rollout with %j says of which log-probs it learns', (given, limits) => {
    const options = stages.get('rollout')?.options.parse(given);
    const update = stages.get('update');
    const notices = update?.notices?.(
      update.options.parse({}),
      pipelineContext(Settings.parse({}), [used('rollout', options)]),
    );
    expect(notices).toEqual(
      limits.map(
        (on) =>
          `log-probs are recomputed at the temperature alone, and completions are drawn with ${on}: the ratio of new to old probability is not 1 even before a step`,
      ),
    );
  });

  it.each([
    [
      { objective: 'seg-r1', groupsPerStep: 4 },
      [
        'seg-r1 has no ratio to weigh older rows by, and a window of 8 over steps of 4 lets them be written before the last step; way out: window: 4',
      ],
    ],
    [{ objective: 'seg-r1', groupsPerStep: 8 }, []],
    [{ objective: 'seg-r1', groupsPerStep: 4, maxStaleness: 0 }, []],
    [{ objective: 'seg-r1', groupsPerStep: 4, correction: {} }, []],
    [{ objective: 'grpo', groupsPerStep: 4 }, []],
  ])('update with %j in a window of 8 says what it makes of older rows', (given, notices) => {
    const update = stages.get('update');
    expect(update?.notices?.(update.options.parse(given), pipelineContext(Settings.parse({}), []))).toEqual(notices);
  });

  it.each([
    [['load', 'rollout', 'parse', 'write'], false],
    [['load', 'rollout', 'update'], true],
    [['load', 'sft'], true],
  ])('%j may teach the policy: %j', (names, expected) => {
    const all = names.map((name) => used(name, {}));
    expect(pipelineContext(Settings.parse({}), all).updatesPolicy).toBe(expected);
  });

  it.each([
    [{ scale: 'batch', groupsPerStep: 4 }, []],
    [{ scale: 'batch' }, ['expected as many as update takes, 4; got 8']],
    [{ scale: 'parts', groupsPerStep: 2 }, ['expected as many as update takes, 4; got 2']],
    [{ scale: 'none' }, []],
  ])('advantage of %j beside steps of 4', (options, texts) => {
    const advantage = stages.get('advantage');
    const around = pipelineContext(Settings.parse({}), [used('update', { groupsPerStep: 4 })]);
    expect(advantage?.rules?.(advantage.options.parse(options), around).map(({ text }) => text)).toEqual(texts);
  });

  it.each([
    [{ topEntropy: 0.2 }, false, ['expected rollout.entropy: true below 1; got 0.2 without']],
    [{ topEntropy: 0.2 }, true, []],
    [{}, false, []],
  ])('update of %j beside entropies %s', (options, entropy, texts) => {
    const update = stages.get('update');
    const around = pipelineContext(Settings.parse({ window: 8 }), [used('rollout', { entropy })]);
    expect(update?.rules?.(update.options.parse(options), around).map(({ text }) => text)).toEqual(texts);
  });

  it('think wants the key of its endpoint in the environment, before anything is opened', () => {
    const think = stages.get('think');
    const options = think?.options.parse({ endpoint: { url: 'http://127.0.0.1/v1', model: 'm', key: 'SEGR1_NO_KEY' } });
    expect(think?.rules?.(options, pipelineContext(Settings.parse({}), []))).toEqual([
      { option: 'endpoint.key', text: 'expected the environment variable SEGR1_NO_KEY to hold the key; got none' },
    ]);
    expect(think?.rules?.(think.options.parse({}), pipelineContext(Settings.parse({}), []))).toEqual([]);
  });

  it('refuses a step of more rows than the window lets in', () => {
    const around = pipelineContext(Settings.parse({ window: 8 }), []);
    expect(withinWindow('groupsPerStep', 8, around)).toEqual([]);
    expect(withinWindow('groupsPerStep', 9, around)).toEqual([
      { option: 'groupsPerStep', text: 'expected at most the window of 8; got 9; way out: window: 9' },
    ]);
  });

  it('refuses images without masks before anything is opened', async () => {
    const { path, file } = folder();
    for (const name of ['images', 'masks']) mkdirSync(join(path, name));
    writeFileSync(join(path, 'images', 'one.png'), '');
    const message = await refusal(
      readPipeline(file('p.yaml', 'stages: [load: { images: images, masks: masks, frame: 64 }]')),
    );
    expect(message).toMatch(/^p\.yaml:1:10 {2}load: masks/);
  });
});

describe('stage', () => {
  const made = stage({
    name: 'own',
    options: z.strictObject({ size: z.int().default(3) }),
    adds: ({ size }) => [`column${size}`],
    build:
      ({ size }) =>
      (rows) =>
        size > 0 ? rows : rows,
  });

  it('keeps what it was given and cannot be changed', () => {
    expect(isStage(made)).toBe(true);
    expect(Object.isFrozen(made)).toBe(true);
    expect(columnsOf(made, made.options.parse({}))).toEqual(['column3']);
  });

  it('knows the types of its own columns', () => {
    const adds = { difficulty: column.float('how hard it is'), step: column.known };
    const own = { name: 'own', options: z.strictObject({}), adds };
    stage({ ...own, build: () => map((row: Scored) => ({ ...row, difficulty: 1 })) });
    stage({ ...own, build: async () => map((row: Row) => row) });
    // @ts-expect-error a text is no number
    stage({ ...own, build: () => map((row: Scored) => ({ ...row, difficulty: 'hard' })) });
    expectTypeOf<OwnValues<typeof adds>>().toEqualTypeOf<{ readonly difficulty?: number }>();
    expect(columnsOf(stage({ ...own, build: () => map((row: Row) => row) }), {})).toEqual(['difficulty', 'step']);
  });

  it.each([
    [null],
    [{}],
    [{ name: 'x' }],
    [{ name: 'x', build() {} }],
    [{ name: 'x', build() {}, options: {} }],
    [{ name: '', build() {}, options: z.strictObject({}) }],
  ])('%j is none', (value) => expect(isStage(value)).toBe(false));
});
