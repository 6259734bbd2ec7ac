import { describe, expect, it } from 'vitest';

import { readOverride } from '../../../src/pipelines/config/overrides.js';

const value = (text: string): unknown => readOverride(`load.pattern=${text}`, ['seed'], ['load']).value;

describe('the value of --set', () => {
  // What YAML's core schema makes of one word.
  it.each([
    ['16', 16],
    ['-5', -5],
    ['1e-6', 0.000001],
    ['0x1F', 31],
    ['true', true],
    ['null', null],
    ['~', null],
    ['[a, 2]', ['a', 2]],
    ['{ rank: 8 }', { rank: 8 }],
    ['"*.png"', '*.png'],
    ["'5'", '5'],
    ['""', ''],
  ])('%s is YAML', (text, expected) => expect(value(text)).toEqual(expected));

  // Each begins with, or holds, what YAML reads as something else than text.
  it.each([
    '*.png',
    '**/*.png',
    '&a',
    '!x y',
    '%x',
    '@x',
    '`x`',
    '>',
    '| x',
    '-',
    '- a',
    '---',
    '? a',
    ': x',
    '#1',
    'x #y',
    'Find it: the box',
    'a, b',
    'a]',
    'C:\\images',
  ])('%s is text', (text) => expect(value(text)).toBe(text));

  it.each([
    ['', `value: expected one; got nothing; way out: 'load.pattern=""' for an empty text`],
    ['[*.png]', 'value: expected YAML; got "[*.png]" (anchors: expected one before each alias; got *.png without)'],
    ['[a', 'value: expected YAML; got "[a" (YAML: flow sequence must end with a ])'],
    ['{x} y', 'value: expected YAML; got "{x} y" (YAML: unexpected scalar at node end)'],
    ["'s", `value: expected YAML; got "'s" (YAML: missing closing 'quote)`],
    ['['.repeat(10_000), '(nesting: expected at most 64 levels; got more)'],
  ])('%s is refused by the flag', (text, message) => {
    expect(() => value(text)).toThrow(`--set load.pattern=${text}  `);
    expect(() => value(text)).toThrow(message);
  });
});
