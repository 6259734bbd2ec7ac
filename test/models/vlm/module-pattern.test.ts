import { describe, expect, it } from 'vitest';

import { isExpression, matches, meant } from '../../../src/models/vlm/module-pattern.js';

const paths = [
  'model.language_model.layers.0.self_attn.q_proj',
  'model.language_model.layers.1.self_attn.q_proj',
  'model.language_model.layers.10.mlp.down_proj',
  'model.visual.blocks.0.attn.qkv',
  'model.visual.blocks.1.mlp.gate_proj',
  'model.visual.merger.mlp.0',
  'lm_head',
];
const drawn = (found: readonly boolean[]): string => found.map((one) => (one ? 'x' : '.')).join('');

describe('meant', () => {
  // Python 3.11: ''.join('x' if re.fullmatch(pattern, path) else '.' for path in paths)
  it.each([
    ['.*visual.*', '...xxx.'],
    [String.raw`^model\.visual\..*$`, '...xxx.'],
    ['visual', '.......'],
    ['^(?!.*visual).*(?:q_proj|down_proj).*', 'xxx....'],
    [String.raw`\Amodel\..*_proj\Z`, 'xxx.x..'],
    [String.raw`(?P<m>model)\.language_(?P=m)\..*`, 'xxx....'],
    ['(?i).*Q_PROJ', 'xx.....'],
    [String.raw`.*layers\.\d{,1}\..*`, 'xx.....'],
    [String.raw`.*layers\.\d{,}\.mlp.*`, '..x....'],
    ['model[]._a-z0-9]+', 'xxxxxx.'],
    ['model.[^]0]*', '.x..x..'],
    ['(?#a comment)lm_head', '......x'],
    [String.raw`.*\.layers\.(?:[1-9]|1[0-9])\..*`, '.xx....'],
  ])('matches a whole path by %s', (pattern, expected) => expect(drawn(meant(pattern, paths))).toBe(expected));

  it.each([
    [['q_proj'], 'xx.....'],
    [['proj', 'visual'], '.......'],
    [['mlp.0', 'lm_head', 'model.visual.blocks.0.attn.qkv'], '...x.xx'],
  ])('takes names %j and ends after a dot', (names, expected) => expect(drawn(meant(names, paths))).toBe(expected));

  it.each([
    ['one that takes for ever', '(([a-z]|[a-z_.0-9])+)+!', ', which took more than 2 s on 7 paths'],
    ['half of one', '(', ': Invalid regular expression'],
    ['a bracket too many', '.*q_proj)|(?:qkv', ': Invalid regular expression'],
    ['a flag without a counterpart', '(?x) a', ': Invalid regular expression'],
    ['a book', 'a'.repeat(30_000), ', of 30000 characters'],
  ])('refuses %s', (_, pattern, got) => {
    expect(() => meant(pattern, paths)).toThrow(RangeError);
    expect(() => meant(pattern, paths)).toThrow(got);
  });
});

describe('matches', () => {
  it('has one deadline for all expressions', () => {
    const endless = Array.from({ length: 100 }, (_, i) => `(([a-z]|[a-z_.0-9])+)+!${i}`);
    expect(() => matches(endless, (own) => own, paths)).toThrow('which took more than 2 s on 7 paths');
  });

  it('gives the group idx', () =>
    expect(matches([String.raw`layers\.(?P<idx>\d+)`], (own) => own, paths)).toEqual([
      ['0', '1', '10', null, null, null, null],
    ]));
});

describe('isExpression', () =>
  it.each([
    ['.*', true],
    ['(?P<a>.)', true],
    ['(', false],
    ['a*+', false],
  ])('%s', (pattern, expected) => expect(isExpression(pattern)).toBe(expected)));
