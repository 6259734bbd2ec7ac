import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { readPipeline } from '../../../src/pipelines/config/read.js';
import { objectiveOf, UpdateStageOptions } from '../../../src/pipelines/stages/objective-modules.js';
import { Settings } from '../../../src/pipelines/settings.js';
import { pipelineContext, type Stage } from '../../../src/pipelines/stage.js';
import { stages as table } from '../../../src/pipelines/stages/table.js';
import { folder, refusal } from '../files.js';

const TINY = fileURLToPath(new URL('../../../data/models/tiny', import.meta.url));
const numbers = "name: 'mine', average: 'token', kl: 0, corrects: false, entropyBonus: 0, topEntropy: 1";
const loss = 'trace: ({ logProbs }) => ({ loss: logProbs, reports: {} })';

/** What is wrong with a pipeline whose update has these options, `own.mjs` beside it. */
function refused(module: string, options = '', objective = './own.mjs'): Promise<string> {
  const { file } = folder();
  file('own.mjs', module);
  const text = `policy: { checkpoint: ${JSON.stringify(TINY)} }\nsegmenter: { kind: grabcut }\nstages:\n  - load: { scenes: { count: 2 }, frame: 112 }\n  - rollout\n  - parse\n  - mask\n  - reward\n  - advantage\n  - update: { objective: ${objective}${options} }\n`;
  return refusal(readPipeline(file('p.yaml', text)));
}

describe('an objective of one’s own', () => {
  it.each([
    [
      'a module that is not there',
      '',
      '',
      './other.mjs',
      'update.objective: expected a file or folder; got "./other.mjs"',
    ],
    ['one that does not load', '(', '', './own.mjs', 'update.objective: expected a module that loads; got '],
    [
      'one without an objective',
      'export const mine = 1;',
      '',
      './own.mjs',
      'update.objective: expected a module that exports "objective"; got mine in ',
    ],
    [
      'one that gives no loss',
      `export const objective = { ${numbers}, trace: () => ({ reports: {} }) };`,
      '',
      './own.mjs',
      'update.objective: objective "mine"  trace: expected { loss, reports } with a loss a token; got a loss of nothing',
    ],
    [
      'options that it is made with',
      `export const objective = { ${numbers}, ${loss} };`,
      ', kl: 0.1',
      './own.mjs',
      'update.kl: expected it in the objective itself, which is one of your own; got 0.1',
    ],
    [
      'a reference without a KL term',
      `export const objective = { ${numbers}, ${loss} };`,
      ', reference: {}',
      './own.mjs',
      'update.objective: objective "mine"  kl: expected a coefficient above 0 beside reference; got 0',
    ],
    ['a name that no objective has', '', '', 'gpro', 'update.objective: expected one of "grpo"|"bnpo"|'],
  ])('refuses %s', async (_, module, options, objective, message) =>
    expect(await refused(module, options, objective)).toContain(message),
  );

  it('is what the module exports, and needs entropies where it picks by them', async () => {
    const { file } = folder();
    const path = file(
      'own.mjs',
      `export const objective = { ${numbers.replace('topEntropy: 1', 'topEntropy: 0.5')}, ${loss} };`,
    );
    const options = UpdateStageOptions.parse({ objective: path });
    const around = (entropy: boolean) =>
      pipelineContext(Settings.parse({}), [
        { name: 'rollout', options: { entropy }, stage: table.get('rollout') as Stage },
      ]);
    expect(await objectiveOf(options, around(true))).toEqual({ module: path });
    expect(await refusal(objectiveOf(options, around(false)))).toBe(
      'update.objective: expected rollout.entropy: true below 1; got 0.5 without',
    );
    expect(await objectiveOf(UpdateStageOptions.parse({}), around(false))).toBe('grpo');
  });
});

describe('keys that were renamed', () => {
  it.each([
    ['update', 'refill: 1', 'dynamicSampling'],
    ['tally', 'constants: 1', 'constantBaseline'],
    ['tally', 'anotherScene: true', 'shuffledImageBaseline'],
  ])('%s { %s } is refused with its new name', async (stage, option, now) => {
    const text = `stages:\n  - load: { scenes: { count: 2 }, frame: 112 }\n  - ${stage}: { ${option} }\n`;
    const [key = ''] = option.split(':');
    expect(await refusal(readPipeline(folder().file('p.yaml', text)))).toContain(
      `p.yaml:3:${stage.length + 9}  ${stage} has no option ${JSON.stringify(key)}; way out: ${now}, as it is called now`,
    );
  });
});
