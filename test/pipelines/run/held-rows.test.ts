import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { readRows } from '../../../src/io/arrow/shard.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import { run } from '../../../src/pipelines/run/run.js';
import type { Row } from '../../../src/records.js';
import { folder, refusal } from '../files.js';

const COLUMNS = fileURLToPath(new URL('../../fixtures/column-stages.mjs', import.meta.url));
const TINY = fileURLToPath(new URL('../../../data/models/tiny', import.meta.url));
type Own = { readonly difficulty?: number; readonly note?: string };

const models = `policy:    { checkpoint: ${JSON.stringify(TINY)}, workers: 1, threads: 1 }
segmenter: { kind: grabcut, size: 32 }`;

/** The rows that a pipeline of these stages writes, and where. */
async function rowsOf(stages: string, settings = ''): Promise<{ rows: (Row & Own)[]; root: string }> {
  const { path, file } = folder();
  const text = `operators: [${JSON.stringify(COLUMNS)}]\nseed: 7\nwindow: 4\n${settings}\nstages:\n${stages}\n`;
  const root = join(path, 'run');
  await run(await readPipeline(file('p.yaml', text)), { folder: root });
  const rows: (Row & Own)[] = [];
  for await (const row of readRows<Own>(join(root, 'rows'))) rows.push(row);
  return { rows, root };
}

const scenes = '- load: { scenes: { count: 4 }, frame: 112, shuffle: false }';
const typed = 'adds: { difficulty: float, note: text }';

describe("a stage's own columns", () => {
  it('are written, read back, and given again where a replay asks for them', async () => {
    const { rows, root } = await rowsOf(`${scenes}
- declare: { ${typed}, gives: { difficulty: 0.7, note: so } }
- write`);
    expect(rows.map(({ difficulty, note }) => [difficulty, note])).toEqual(Array(4).fill([0.7, 'so']));

    const replay = (columns: string): string =>
      `- replay: { rows: ${JSON.stringify(root)}, columns: ${columns}, shuffle: false }\n- write`;
    const again = await rowsOf(replay('[truth, difficulty]'));
    expect(again.rows.map(({ difficulty, note, skipped }) => [difficulty, note, skipped])).toEqual(
      Array(4).fill([0.7, undefined, undefined]),
    );
    expect((await rowsOf(replay('[truth]'))).rows[0]).not.toHaveProperty('difficulty');
    expect(await refusal(rowsOf(replay('[truth, dificulty]')))).toMatch(
      /replay\.columns: expected columns that rows have before an answer \(id, .*\), or custom ones in these rows; got "dificulty"$/,
    );
    expect(
      await refusal(rowsOf(`${replay('[truth, difficulty]').replace('- write', '')}- declare: { ${typed} }`)),
    ).toContain(
      'declare: adds: expected a column that no stage has declared; got "difficulty", which replay adds already',
    );
  });

  it('mark the row where a value does not fit, which is taken out', async () => {
    const { rows } = await rowsOf(
      `${scenes}
- declare: { ${typed}, gives: { difficulty: hard, note: so } }
- write`,
      'tolerate: 4',
    );
    const skipped = { stage: 'declare', reason: 'difficulty: expected a number; got "hard"' };
    expect(rows.map((row) => [row.difficulty, row.note, row.skipped])).toEqual(
      Array(4).fill([undefined, 'so', skipped]),
    );
    expect(await refusal(rowsOf(`${scenes}\n- declare: { ${typed}, gives: { difficulty: hard } }`))).toContain(
      'declare: expected at most 0 rows that cannot be used; got one more (difficulty: expected a number; got "hard")',
    );
  });

  it.each([
    ['step', '0.5', 'expected int32; got 0.5'],
    ['formats', '[1, good]', 'expected list of float32; got [1,"good"]'],
    ['masks', 'none', 'expected list of masks; got "none"'],
    ['prompts', '[{ box: 3 }]', 'expected list of prompts; got [{"box":3}]'],
  ])('mark the row where %s, which rows know, is %s', async (name, value, message) => {
    const { rows } = await rowsOf(
      `${scenes}\n- declare: { adds: [${name}], gives: { ${name}: ${value} } }\n- write`,
      'tolerate: 4',
    );
    expect(rows[0]?.skipped).toEqual({ stage: 'declare', reason: `${name}: ${message}` });
    expect(rows[0]).not.toHaveProperty(name);
  });

  it('end the run where no row can be without them', async () => {
    expect(await refusal(rowsOf(`${scenes}\n- declare: { adds: [image], gives: { image: a.png } }`))).toMatch(
      /^e0\/0\/\S+ {2}declare: image: expected string, struct; got "a\.png"$/,
    );
  });

  it.each([
    ['own', 'bigint', 'own: expected a number; got 1n'],
    ['own', 'promise', 'own: expected a number; got Promise { 1 }'],
    ['data', 'bigint', 'data: expected JSON; got 1n'],
    ['data', 'circle', 'data: expected JSON; got <ref *1> { it: [Circular *1] }'],
    ['data', 'deep', 'data: expected JSON; got [ [ [Array] ] ]'],
    ['truth', 'bigint', 'truth: expected mask; got 1n'],
  ])('mark the row where %s is %s, though the stage says nothing of it', async (column, value, reason) => {
    const { rows } = await rowsOf(
      `${scenes}\n- careless: { column: ${column}, value: ${value} }\n- write`,
      'tolerate: 4',
    );
    expect(rows.map(({ skipped }) => skipped)).toEqual(Array(4).fill({ stage: 'careless', reason }));
  });

  it.each([
    ['nothing', /^careless: expected rows, each with its id; got nothing$/],
    ['promise', /^careless: expected rows, each with its id; got Promise .*; way out: concatMap/],
    ['other', /^other {2}careless: expected a row that it took, once; got another id, or the row again$/],
    ['mark', /^e0\/0\/\S+ {2}careless: expected a mark of \{ stage, reason \}, two texts; got true$/],
    ['throw', /^careless: expected rows; got 7n, thrown$/],
    [
      'typo',
      /^careless: expected rows; got TypeError "Cannot read .*\(reading 'length'\)" at .*column-stages\.mjs.*:\d+:\d+$/,
    ],
    ['metric', /^step 1 {2}metrics: expected numbers; got odd 1n$/],
  ])('end the run where a stage gives %s for a row, with its name', async (gives, message) => {
    expect(await refusal(rowsOf(`${scenes}\n- careless: { gives: ${gives} }\n- write`))).toMatch(message);
  });

  it('end the run where nobody declares them, with the names of stage and column', async () => {
    expect(await refusal(rowsOf(`${scenes}\n- declare: { gives: { difficulty: 0.7 } }`))).toMatch(
      /^e0\/0\/\S+ {2}declare: expected columns that the stage declares; got "difficulty", 0\.7; way out: adds: \{ difficulty: column\.float\('…'\) \}/,
    );
  });
});

describe('a stage by another name than its operator', () => {
  const stages = (rollout: string): string => `- load: { scenes: { rule: warm, count: 4 }, frame: 112 }
- ${rollout}: { group: 2, maxTokens: 40, temperature: 0.7 }
- parse
- mask
- reward
- advantage: { scale: none }
- update: { objective: dapo, learningRate: 1.0e-3, groupsPerStep: 4 }
- write`;

  it('samples what `update` learns from, at the temperature of its rows', async () => {
    const [usual, own] = [await rowsOf(stages('rollout'), models), await rowsOf(stages('draw'), models)];
    expect(own.rows).toEqual(usual.rows);
    expect(own.rows[0]?.sampling).toEqual({
      temperature: 0.7,
      repetitionPenalty: 1,
      topK: 0,
      topP: 1,
      minP: 0,
      maxTokens: 40,
    });
    const weights = (root: string): Buffer => {
      const [step = ''] = readdirSync(join(root, 'checkpoints'));
      return readFileSync(join(root, 'checkpoints', step, 'model.safetensors'));
    };
    expect(weights(own.root).equals(weights(usual.root))).toBe(true);
  });

  it('is held to the same rules', async () => {
    expect(await refusal(rowsOf(stages('draw').replace('group: 2', 'group: 1'), models))).toContain(
      'advantage: expected draw.group of at least 2, to compare within a group; got 1',
    );
    expect(await refusal(rowsOf(stages('draw').replace('temperature: 0.7', 'temperature: 0'), models))).toContain(
      'update: expected draw.temperature above 0; got 0, where every group is one completion over and over',
    );
  });

  it('has its own name in the marks', async () => {
    const { rows } = await rowsOf(`${scenes}\n- declare: { marks: true }\n- write`, 'tolerate: 4');
    expect(rows.map(({ skipped }) => skipped)).toEqual(Array(4).fill({ stage: 'declare', reason: 'no luck' }));
  });

  it('gets no policy to teach that does not say it does', async () => {
    expect(await refusal(rowsOf(`${scenes}\n- sly`, models))).toBe(
      'sly  trainable: expected a stage that says it changes the policy; got none; way out: updatesPolicy: true',
    );
  });
});
