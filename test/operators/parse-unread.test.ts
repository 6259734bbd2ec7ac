import fc from 'fast-check';
import { from, lastValueFrom, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { parse } from '../../src/operators/parse.js';
import { parseReason } from '../../src/operators/parse-unread.js';
import { reasonCounts } from '../../src/operators/training/step-metrics.js';
import { prompts } from '../../src/prompts/seg-r1.js';
import { PARSE_REASONS, type ParseReason, type RolledOut } from '../../src/records.js';

const frame = { width: 768, height: 768 };
const told = prompts.rl.system + prompts.rl.user;
const answer = (box: string, points = '[[50,60],[70,80]]', labels = '[1,0]'): string =>
  `<think>a bird</think> <bbox>${box}</bbox>, <points>${points}</points>, <labels>${labels}</labels>`;
const BOX = '[10,20,300,400]';

async function reasonOf(
  text: string,
  options: Parameters<typeof parse>[0] & { readonly finish?: 'stop' | 'length' } = {},
): Promise<ParseReason | null | undefined> {
  const { finish = 'stop', ...own } = options;
  const row: RolledOut = {
    id: 'a',
    image: { path: 'a.png' },
    task: 'foreground',
    frame,
    original: frame,
    prompt: told,
    promptTokens: [],
    policyVersion: 0,
    completions: [{ text, tokens: [], logProbs: [], finish }],
  };
  const [{ parseReasons, prompts: read }] = await lastValueFrom(from([row]).pipe(parse(own), toArray()));
  const reason = parseReasons?.[0];
  // Without a prompt there is always a reason.
  expect(read[0] === null && reason === null).toBe(false);
  return reason;
}

describe('a reason', () => {
  it.each<readonly [ParseReason | null, string]>([
    [null, answer(BOX)],
    [null, answer('[0,0,768,768]')],
    [null, `<bbox>${BOX}</bbox> <points>[[1,2]]</points> <labels>[1]</labels>`],
    ['empty', ''],
    ['empty', ' \n'],
    ['echoed-prompt', told],
    ['echoed-prompt', `Sure. ${prompts.rl.user} ${prompts.rl.user}`],
    ['echoed-prompt', '<think> … </think> <bbox>[x1,y1,x2,y2]</bbox>, <points>[[1,2]]</points>, <labels>[1]</labels>'],
    // As Qwen2.5-VL answers by itself.
    ['other-convention', '```json\n[{"bbox_2d": [10, 20, 300, 400], "label": "bird"}]\n```'],
    ['other-convention', "{'points': [[1, 2]], 'box': [1, 2, 3, 4]}"],
    // As Qwen2-VL, Molmo and PaliGemma do.
    ['other-convention', '<|box_start|>(10,20),(300,400)<|box_end|>'],
    ['other-convention', '<point x="10" y="20" alt="bird">bird</point>'],
    ['other-convention', '<loc0010><loc0020><loc0300><loc0400> bird'],
    ['no-box', 'The bird is on the left.'],
    ['no-box', '<think>a bird</think> <points>[[1,2]]</points> <labels>[1]</labels>'],
    ['no-box', answer('[]')],
    ['no-points', `<bbox>${BOX}</bbox>`],
    ['no-points', `<bbox>${BOX}</bbox> <points>[[1,2]]</points>`],
    ['no-points', answer(BOX, '[]', '[]')],
    ['wrong-labels', answer(BOX, '[[50,60],[70,80]]', '[1]')],
    ['wrong-labels', answer(BOX, '[[50,60],[70,80]]', '[1,2]')],
    ['wrong-labels', answer(BOX, '[[50,60]]', '[-1]')],
    ['wrong-nesting', answer('[[10,20,300,400]]')],
    ['wrong-nesting', answer('10,20,300,400')],
    ['wrong-nesting', answer(BOX, '[50,60]', '[1]')],
    ['wrong-nesting', answer(BOX, '[[50,60],[70,80]]', '[[1,0]]')],
    ['wrong-nesting', `<bbox>${BOX}<points>[[1,2]]</points><labels>[1]</labels></bbox>`],
    ['wrong-nesting', `<bbox>${BOX}</points> <points>[[1,2]]</bbox> <labels>[1]</labels>`],
    ['wrong-nesting', `<bbox>${BOX} <points>[[1,2]]</points> <labels>[1]</labels>`],
    ['wrong-numbers', answer('[10.5,20,300,400]')],
    ['wrong-numbers', answer('[10,20,300]')],
    ['wrong-numbers', answer('[010,20,300,400]')],
    ['wrong-numbers', answer('[left,20,300,400]')],
    ['wrong-numbers', answer('[left]')],
    ['wrong-numbers', answer(BOX, '[[50,60,70]]', '[1]')],
    ['beyond-frame', answer('[-10,20,300,400]')],
    ['beyond-frame', answer('[10,20,300,40000000000]')],
    // These are read, and go to the segmenter as they are.
    ['beyond-frame', answer('[10,20,300,800]')],
    ['beyond-frame', answer(BOX, '[[769,60]]', '[1]')],
    ['upside-down', answer('[10,400,300,20]')],
    ['upside-down', answer('[300,20,10,400]')],
    ['malformed', answer('[10 20 300 400]')],
    ['malformed', answer(BOX, '[[50,60][70,80]]')],
  ])('%s: %s', async (reason, text) => {
    expect(await reasonOf(text)).toBe(reason);
  });

  it('truncated, where the answer was cut off before its end', async () => {
    expect(await reasonOf('<think>a bird that', { finish: 'length' })).toBe('truncated');
    expect(await reasonOf(`<think>a bird</think> <bbox>${BOX}</bbox>, <points>[[50,`, { finish: 'length' })).toBe(
      'truncated',
    );
    expect(await reasonOf(answer('[10,20,300]'), { finish: 'length' })).toBe('wrong-numbers');
    expect(await reasonOf(answer(BOX), { finish: 'length' })).toBeNull();
  });

  it('goes by the mode, by what a lenient reading takes, and by the units of the numbers', async () => {
    const points = '<points>[[1,2]]</points> <labels>[1]</labels>';
    expect(await reasonOf(points, { mode: 'points' })).toBeNull();
    expect(await reasonOf('nothing', { mode: 'points' })).toBe('no-points');
    expect(await reasonOf(points)).toBe('no-box');
    expect(await reasonOf(points, { lenient: true })).toBeNull();
    expect(await reasonOf(answer('[10,20,300,900]'), { coordinates: 'thousandths' })).toBeNull();
    expect(await reasonOf(answer('[10,20,300,1001]'), { coordinates: 'thousandths' })).toBe('beyond-frame');
  });

  it('is one of the list for any text, found soon', () => {
    const piece = fc.constantFrom(
      '<bbox>',
      '</bbox>',
      '<points>',
      '</points>',
      '<labels>',
      '[',
      ']',
      ',',
      '1',
      '-',
      ' ',
    );
    fc.assert(
      fc.property(
        fc.array(fc.oneof(piece, fc.string({ maxLength: 5 }))),
        fc.constantFrom('stop', 'length'),
        (all, end) => {
          const reason = parseReason({ text: all.join(''), finish: end, told, prompt: null, mode: 'boxes' });
          expect(PARSE_REASONS).toContain(reason);
        },
      ),
    );
    // A search that grows with the square of the text would take longer than a test may.
    for (const text of ['<bbox>', '<bbox>[', '<bbox>1</bbox>', '</points><points>'])
      expect(PARSE_REASONS).toContain(
        parseReason({ text: text.repeat(20_000), finish: 'stop', told, prompt: null, mode: 'boxes' }),
      );
  });
});

describe('reasonCounts', () => {
  it('counts each that there is, in the order of the list', () => {
    expect(reasonCounts([{ parseReasons: ['upside-down', null, 'no-box'] }, {}, { parseReasons: ['no-box'] }])).toEqual(
      {
        'no-box': 2,
        'upside-down': 1,
      },
    );
  });
});
