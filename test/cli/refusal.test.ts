import { describe, expect, it } from 'vitest';

import { refusal } from '../../src/cli/refusal.js';

/** Helps as yargs prints them, cut short. */
const ROOT = `segr1 COMMAND: teaches a vision-language policy to segment

Commands:
  segr1 pipeline <pipeline>    run a pipeline: a YAML file, or a name in
                               pipelines.yaml
  segr1 segment <images..>     cut objects out of images
  segr1 models                 look at models

Options:
  -h, --help     Show help                                             [boolean]

Examples:
  segr1 score --option
      which is in no list above`;

const PIPELINE = `segr1 pipeline <pipeline>

run a pipeline

Options:
  -h, --help       Show help                                           [boolean]
      --set        override one value                                   [string]
      --max-steps  stop after so many optimizer steps                   [string]`;

const MODELS = `segr1 models

Commands:
  segr1 models inspect <folder>  architecture`;

const EXPECTED = 'segr1  command: expected one of pipeline, segment, models; got';
const unknown = (...words: string[]): string => `Unknown arguments: ${words.join(', ')}`;

describe('refusal', () => {
  it.each([
    ['a command with a typo', ['pipelin', 'a.yaml'], '"pipelin"; did you mean: segr1 pipeline a.yaml'],
    ['the name of a pipeline', ['train'], '"train"; did you mean: segr1 pipeline train'],
    ['one with a typo', ['trian'], '"trian"; did you mean: segr1 pipeline train'],
    ['a YAML file', ["my train's.yaml"], `"my train's.yaml"; did you mean: segr1 pipeline 'my train'\\''s.yaml'`],
    ['a picture', ['a.JPG', '--box', '1,2,3,4'], '"a.JPG"; did you mean: segr1 segment a.JPG --box 1,2,3,4'],
    ['a word like none', ['frobnicate'], '"frobnicate"'],
    [
      'what a terminal would obey',
      ['\u001b[2J.yaml'],
      String.raw`"\u001b[2J.yaml"; did you mean: "segr1 pipeline '\u001b[2J.yaml'"`,
    ],
  ])('%s in the place of a command', (_, words, got) => {
    const names = words.filter((word, i) => i === 0 || word.startsWith('--')).map((word) => word.replace(/^--/, ''));
    // Options come first in yargs' list, and their values not at all.
    expect(refusal({ message: unknown(...names.toReversed()), help: ROOT, words })).toBe(
      `${EXPECTED} ${got}\nsee segr1 --help`,
    );
  });

  it('shows all commands where there was none', () => {
    expect(refusal({ message: 'command: expected one; got none', help: ROOT, words: [] })).toBe(
      `command: expected one; got none\n\n${ROOT}`,
    );
  });

  it('an option in the place of a command', () => {
    expect(refusal({ message: 'command: expected one; got none', help: ROOT, words: ['--hlep'] })).toBe(
      'segr1  option: expected one of --help; got --hlep; did you mean: --help\nsee segr1 --help',
    );
  });

  it('a command within another', () => {
    expect(refusal({ message: unknown('inspct', 'x'), help: MODELS, words: ['models', 'inspct', 'x'] })).toBe(
      'segr1 models  command: expected inspect; got "inspct"; did you mean: segr1 models inspect x\nsee segr1 models --help',
    );
  });

  // yargs lists an option of two words twice, the second time in camel case.
  it('options with typos, each in a line', () => {
    const words = ['pipeline', 'train', '--max-step=3', '-q', '--colour'];
    const expected = 'segr1 pipeline  option: expected one of --help, --set, --max-steps; got';
    expect(
      refusal({ message: unknown('max-step', 'q', 'colour', 'maxStep'), help: PIPELINE, words }).split('\n'),
    ).toEqual([
      `${expected} --max-step; did you mean: --max-steps`,
      `${expected} -q`,
      `${expected} --colour`,
      'see segr1 pipeline --help',
    ]);
  });

  it.each([
    [
      'Not enough non-option arguments: got 0, need at least 1',
      'words: expected segr1 pipeline <pipeline>; got too few',
    ],
    ['Missing required arguments: truth, predictions', '--truth, --predictions: expected a value; got none'],
    ['Not enough arguments following: set', '--set: expected a value; got none'],
    ['Invalid values:\n  Argument: metrics, Given: "x", Choices: "a", "b"', 'metrics: expected "a", "b"; got "x"'],
    [unknown('b'), 'words: expected segr1 pipeline <pipeline>; got "b" besides'],
    [unknown('a.b=1'), 'words: expected segr1 pipeline <pipeline>; got "a.b=1" besides; did you mean: --set a.b=1'],
  ])('%s', (message, told) => {
    expect(refusal({ message, help: PIPELINE, words: ['pipeline', 'train', 'b', 'a.b=1'] })).toBe(
      `segr1 pipeline  ${told}\nsee segr1 pipeline --help`,
    );
  });
});
