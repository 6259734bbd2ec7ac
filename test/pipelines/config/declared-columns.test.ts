import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { readPipeline } from '../../../src/pipelines/config/read.js';
import { folder, refusal, STUBS } from '../files.js';

const COLUMNS = fileURLToPath(new URL('../../fixtures/column-stages.mjs', import.meta.url));
const load = 'load: { scenes: { count: 1 }, frame: 112 }';
const pipeline = (stages: string, operators: readonly string[] = [COLUMNS]): string =>
  folder().file('p.yaml', `operators: ${JSON.stringify(operators)}\nstages: [${load}, ${stages}]\n`);
const said = (stages: string): Promise<string> => refusal(readPipeline(pipeline(stages)));

describe('columns that stages declare', () => {
  it.each([
    [
      'one without a type',
      '[difficulty]',
      `expected a type for a column of its own; got "difficulty" without; way out: adds: { difficulty: column.float('…') }`,
    ],
    [
      'a known one that is none',
      '{ difficulty: known }',
      `expected a type for a column of its own; got "difficulty" without; way out: adds: { difficulty: column.float('…') }`,
    ],
    ['one twice', '[step, step]', 'expected each column once; got "step" twice'],
    [
      'the name of a known one',
      '{ step: float }',
      'expected a name of its own; got "step", which rows have; way out: column.known, or another name',
    ],
    ['a name in shards', '{ texts: float }', 'expected a name of its own; got "texts", which shards have'],
    ['one that SQL takes for another', '{ STEP: float }', 'expected a name of its own; got "STEP", which shards have'],
    ['no name', "{ 'a b': float }", `expected a column's name of letters, digits and _, a letter first; got "a b"`],
  ])('are refused: %s', async (_, adds, message) => {
    expect(await said(`declare: { adds: ${adds} }`)).toMatch(
      new RegExp(`^p\\.yaml:2:\\d+ {2}declare: adds: ${message.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`),
    );
  });

  it('are refused where they are of no type', async () => {
    expect(await said('declare: { adds: { difficulty: 3 } }')).toContain(
      "declare: adds.difficulty: expected a type such as column.float('…'); got 3",
    );
  });

  it('are refused where two stages declare one', async () => {
    const both = 'declare: { adds: { difficulty: float } }, declareToo: { adds: { Difficulty: text } }';
    expect(await said(both)).toContain(
      'declareToo: adds: expected a column that no stage has declared; got "Difficulty", which declare adds already',
    );
  });

  it('may be known ones beside those of their own', async () => {
    const { stages } = await readPipeline(pipeline('declare: { adds: { difficulty: float, step: known } }'));
    expect(stages.map(({ name }) => name)).toEqual(['load', 'declare']);
  });
});

describe('keys of a stage in a module', () => {
  it.each([
    ['lasting: true', 'got "lasting" of rows in "old.mjs"; way out: cacheable'],
    ['chooses: () => true', 'got "chooses" of rows in "old.mjs"; way out: filters'],
    ['cachable: true', 'got "cachable" of rows in "old.mjs"; way out: cacheable'],
    ['zzz: 1', 'got "zzz" of rows in "old.mjs"; known: name, kind, options, '],
  ])('%s is refused', async (key, message) => {
    const { file } = folder();
    file('old.mjs', `import { rows as own } from ${JSON.stringify(STUBS)};\nexport const rows = { ...own, ${key} };`);
    expect(await refusal(readPipeline(file('p.yaml', `operators: [old.mjs]\nstages: [rows]`)))).toContain(
      `p.yaml:1:13  operators: expected keys that a stage has; ${message}`,
    );
  });
});
