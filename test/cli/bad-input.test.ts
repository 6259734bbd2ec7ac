import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { folder } from '../pipelines/files.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CLI = join(ROOT, 'dist/cli.js');
const SMALL = join(ROOT, 'test/golden/fixtures/policy/tiny-qwen2_5_vl-tied-bf16');

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function segr1(cwd: string, args: readonly string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], { cwd });
    let [out, err] = ['', ''];
    child.stdout.on('data', (text: Buffer) => (out += text.toString()));
    child.stderr.on('data', (text: Buffer) => (err += text.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

const TRAIN = `
seed: 7
window: 8
policy: { checkpoint: small }
segmenter: { kind: grabcut }
stages:
  - load: { scenes: { count: 8 }, frame: 112 }
  - rollout: { group: 2 }
  - parse
  - mask
  - reward
  - advantage
  - update: { groupsPerStep: 8 }
  - write
`;

/** A folder with a policy, two images and one mask, and nothing in `empty`; the pipeline is `train.yaml`. */
function place(yaml: string): string {
  const { path, file } = folder();
  cpSync(SMALL, join(path, 'small'), { recursive: true });
  for (const made of ['images', 'masks', 'others', 'empty']) mkdirSync(join(path, made));
  for (const name of ['pick-00.png', 'pick-01.png'])
    cpSync(join(ROOT, 'data/sample/images', name), join(path, 'images', name));
  cpSync(join(ROOT, 'data/sample/masks/pick-00.png'), join(path, 'masks/pick-00.png'));
  cpSync(join(ROOT, 'data/sample/masks/pick-02.png'), join(path, 'others/pick-02.png'));
  file('train.yaml', yaml);
  return path;
}

const LOAD = 'load: { scenes: { count: 8 }, frame: 112 }';
const BOMB = [
  'a: &a [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]',
  ...'bcdefgh'.split('').map((name, i) => `${name}: &${name} [${Array(10).fill(`*${'abcdefgh'[i]}`).join(', ')}]`),
  TRAIN,
].join('\n');

const refused: readonly (readonly [what: string, yaml: string, message: string | RegExp])[] = [
  [
    'an unknown key of the pipeline',
    `sede: 1\n${TRAIN}`,
    /train\.yaml:1:1 {2}pipeline has no option "sede"; known: seed, window, policy, .*; nearest: seed/,
  ],
  [
    'an unknown key of a stage',
    TRAIN.replace('group: 2', 'grup: 2'),
    'train.yaml:8:16  rollout has no option "grup"; known: group, temperature, maxTokens, repetitionPenalty, topK, topP, minP, entropy, inflight; nearest: group',
  ],
  [
    'an unknown key of a model',
    TRAIN.replace('kind: grabcut', 'kind: grabcut, sise: 32'),
    'segmenter has no option "sise"; known: kind, size, iterations, radius, threads; nearest: size',
  ],
  [
    'a value of the wrong type',
    TRAIN.replace('group: 2', 'group: many'),
    'train.yaml:8:23  rollout.group: expected a number; got "many"',
  ],
  [
    'an unknown stage',
    TRAIN.replace('- parse', '- prase'),
    /train\.yaml:9:5 {2}no stage is called "prase"; known: load, .*; nearest: parse/,
  ],
  [
    'a stage before what it needs',
    TRAIN.replace('  - mask\n  - reward\n', '  - reward\n  - mask\n'),
    'train.yaml:10:5  reward needs the column "masks", which no earlier stage adds',
  ],
  [
    'a pipeline that does not begin with a source',
    TRAIN.replace(`  - ${LOAD}\n`, ''),
    'rollout cannot be the first stage: expected one that gives rows; got "rollout"; way out: begin with load',
  ],
  [
    'two stages that write',
    `${TRAIN}  - write\n`,
    'train.yaml:15:5  write writes rows: expected one such stage; got write before it',
  ],
  [
    'a stage behind the one that writes',
    `${TRAIN}  - advantage\n`,
    'advantage comes after write: expected write to be the last stage',
  ],
  [
    'a window smaller than a step',
    TRAIN.replace('window: 8', 'window: 4'),
    'update.groupsPerStep: expected at most the window of 4; got 8; way out: window: 8',
  ],
  [
    'a group of one',
    TRAIN.replace('group: 2', 'group: 1'),
    'advantage: expected rollout.group of at least 2, to compare within a group; got 1',
  ],
  [
    'no policy',
    TRAIN.replace('policy: { checkpoint: small }', ''),
    'rollout uses a policy: expected the key "policy" in the pipeline; got none',
  ],
  [
    'a folder that is not there',
    TRAIN.replace(LOAD, 'load: { images: photos, masks: masks }'),
    /train\.yaml:7:21 {2}load\.images: expected a file or folder; got "photos", and \S+\/photos is not there/,
  ],
  [
    'a file in place of a folder',
    TRAIN.replace(LOAD, 'load: { images: train.yaml, masks: masks }'),
    /images {2}\S+\/train\.yaml: expected a folder of images; got a file/,
  ],
  [
    'an empty folder',
    TRAIN.replace(LOAD, 'load: { images: empty, masks: masks }'),
    /images {2}\S+\/empty: expected files named \*\.png .*; got none/,
  ],
  [
    'images of which none has a mask',
    TRAIN.replace(LOAD, 'load: { images: images, masks: others }'),
    /masks: expected a mask named as an image, such as pick-00\.png; got none for 2 images/,
  ],
  [
    'images of which one has no mask',
    TRAIN.replace(LOAD, 'load: { images: images, masks: masks }'),
    /masks: expected one for each of 2 images; got none for 1, \S+pick-01\.png first; maskless: mark goes on without them/,
  ],
  ['a YAML alias bomb', BOMB, /train\.yaml:1:1 {2}anchors: expected at most 100 repeats/],
  ['YAML that is none', 'stages: [', /train\.yaml:1:\d+ {2}YAML: /],
  [
    'a checkpoint that is not there',
    TRAIN.replace('checkpoint: small', 'checkpoint: smal'),
    /policy\.checkpoint: expected a file or folder; got "smal", and \S+\/smal is not there/,
  ],
  ['a checkpoint folder without config.json', TRAIN.replace('checkpoint: small', 'checkpoint: empty'), 'config.json'],
];

describe('a pipeline that cannot run', () => {
  it.each(refused)('is refused for %s', async (_, yaml, message) => {
    const path = place(yaml);
    const before = readdirSync(path);
    // Without --check, so that what is refused is seen to be refused before the run begins.
    const { code, out, err } = await segr1(path, ['pipeline', 'train.yaml']);
    expect(err).toMatch(message);
    expect([code, out]).toEqual([2, '']);
    expect(readdirSync(path)).toEqual(before);
  });

  it('is refused for a checkpoint of another architecture', async () => {
    const path = place(TRAIN);
    writeFileSync(join(path, 'small/config.json'), JSON.stringify({ model_type: 'llama' }));
    const { code, err } = await segr1(path, ['pipeline', 'train.yaml']);
    expect(err).toContain('model_type: expected one of qwen2_5_vl; got "llama"');
    expect(code).toBe(2);
    expect(existsSync(join(path, 'runs'))).toBe(false);
  });

  it.each([
    ['rolout.group=3', '--set rolout.group=3  this pipeline has no stage and no key "rolout"; known: '],
    ['rolout.group=3', '; nearest: rollout'],
    [
      'rollout.gruop=3',
      '--set rollout.gruop=3  rollout has no option "gruop"; known: group, temperature, maxTokens, repetitionPenalty, topK, topP, minP, entropy, inflight; nearest: group',
    ],
    ['rollout.group=many', '--set rollout.group=many  rollout.group: expected a number; got "many"'],
    ['rollout', '--set rollout  expected key=value; got "rollout"; way out: --set rollout.group=16'],
  ])('is refused for --set %s', async (set, message) => {
    const path = place(TRAIN);
    const { code, err } = await segr1(path, ['pipeline', 'train.yaml', '--set', set]);
    expect(err).toContain(message);
    expect(code).toBe(2);
    expect(existsSync(join(path, 'runs'))).toBe(false);
  });

  it('is told all its mistakes at once', async () => {
    const path = place(`sede: 1\n${TRAIN.replace('group: 2', 'grup: 2').replace('- parse', '- prase')}`);
    const { err } = await segr1(path, ['pipeline', 'train.yaml']);
    expect(err.trim().split('\n')).toHaveLength(3);
  });
});
