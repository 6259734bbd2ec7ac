import fc from 'fast-check';
import { firstValueFrom, of, type OperatorFunction } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, expectTypeOf, it } from 'vitest';

import { emptyMask } from '../../src/io/mask.js';
import type { Segmenter } from '../../src/models/segmenter.js';
import { mask } from '../../src/operators/mask.js';
import { readParts } from '../../src/operators/parse-text.js';
import { parse, readPrompt } from '../../src/operators/parse.js';
import type { Prompt, Prompted, RolledOut } from '../../src/records.js';

const frame = { width: 768, height: 768 };
const think = '<think>a bird</think> ';
const box = '<bbox>[10,20,300,400]</bbox>, ';
const points = '<points>[[50,60],[70,80]]</points>, ';
const labels = '<labels>[1,0]</labels>';
const whole = think + box + points + labels;

const BOX = [10, 20, 300, 400];
const POINTS = [
  [50, 60],
  [70, 80],
];
const LABELS = [1, 0];

describe('parse', () => {
  it('emits each row when it arrives, marked ones as they are, and completes with its source', () => {
    const marked = { ...rolledOut(whole), skipped: { stage: 'load', reason: 'no file' } };
    new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(({ cold, expectObservable }) => {
      const rows = cold('  -a-b-|', { a: rolledOut(whole, 'no'), b: marked });
      const expected = '   -x-y-|';
      const prompt = {
        frame,
        objects: [
          {
            box: BOX,
            points: [
              { x: 50, y: 60, label: 1 },
              { x: 70, y: 80, label: 0 },
            ],
          },
        ],
      };
      expectObservable(rows.pipe(parse())).toBe(expected, {
        x: { ...rolledOut(whole, 'no'), prompts: [prompt, null], formats: [1, 0], parseReasons: [null, 'no-box'] },
        y: marked,
      });
    });
  });

  it('passes an error on', () => {
    new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(({ cold, expectObservable }) => {
      expectObservable(cold<RolledOut>('-#').pipe(parse())).toBe('-#');
    });
  });

  it.each([
    ['boxes', undefined, whole, 1],
    ['boxes', undefined, box + points + labels, 0],
    ['boxes', false, box + points + labels, 1],
    ['boxes', undefined, think + points + labels, 0],
    ['points', undefined, points + labels, 1],
    ['points', true, points + labels, 0],
    ['points', undefined, box + labels, 0],
    ['points', undefined, points + '<labels>[1]</labels>', 0],
    ['points', undefined, '<points>[]</points><labels>[]</labels>', 0],
  ] as const)('mode %s, think %s: %s → format %i', (mode, thinks, text, format) => {
    expect(parsed(text, { mode, ...(thinks === undefined ? {} : { think: thinks }) }).formats).toEqual([format]);
  });

  it('asks with points alone in mode points', () => {
    expect(parsed(whole, { mode: 'points' }).prompts[0]?.objects).toEqual([
      {
        points: [
          { x: 50, y: 60, label: 1 },
          { x: 70, y: 80, label: 0 },
        ],
      },
    ]);
  });

  it('has the segmenter asked with points alone in mode points', async () => {
    const asked: Prompt[] = [];
    const segment: Segmenter['segment'] = async ({ prompts }) => (
      asked.push(...prompts),
      prompts.map(() => emptyMask(frame))
    );
    const rows = of(rolledOut(points + labels, labels)).pipe(
      parse({ mode: 'points' }),
      mask({
        segmenter: { name: 'none', segment, release: async () => {} },
        readImage: async () => ({ ...frame, data: new Uint8Array(0) }),
      }),
    );
    expect((await firstValueFrom(rows)).masks).toEqual([emptyMask(frame), null]);
    expect(asked.map(({ objects }) => objects)).toEqual([
      [
        {
          points: [
            { x: 50, y: 60, label: 1 },
            { x: 70, y: 80, label: 0 },
          ],
        },
      ],
    ]);
  });

  it('keeps formats strict where it reads leniently', () => {
    const { prompts, formats } = parsed('<bbox>[1,2,3,4]</bbox>', { lenient: true });
    expect(prompts[0]?.objects).toEqual([{ box: [1, 2, 3, 4], points: [] }]);
    expect(formats).toEqual([0]);
  });

  it('widens the row by two columns and refuses an unknown option', () => {
    expectTypeOf(parse<RolledOut>()).toEqualTypeOf<OperatorFunction<RolledOut, RolledOut & Prompted>>();
    expect(() => parse({ thinking: true } as never)).toThrow('thinking');
  });
});

describe('readParts', () => {
  // The behaviour of Seg-R1's `parse_custom_format`, executed; a label of 2 is where we differ.
  it.each([
    ['well-formed', whole, POINTS, LABELS, [BOX], 1],
    ['two boxes', `${whole}<bbox>[1,2,3,4]</bbox>`, POINTS, LABELS, [BOX, [1, 2, 3, 4]], 1],
    ['nested list in one box', think + '<bbox>[[1,2,3,4],[5,6,7,8]]</bbox>' + points + labels, POINTS, LABELS, null, 0],
    ['empty think', `<think></think>${box}${points}${labels}`, POINTS, LABELS, [BOX], 1],
    ['no think', box + points + labels, POINTS, LABELS, [BOX], 0],
    ['decimals in the box', `${think}<bbox>[1.5,2,3,4]</bbox>${points}${labels}`, POINTS, LABELS, null, 0],
    ['negative number in a point', `${think}${box}<points>[[-1,2],[3,4]]</points>${labels}`, null, LABELS, [BOX], 0],
    ['lengths differ', `${think}${box}${points}<labels>[1]</labels>`, null, null, [BOX], 0],
    ['trailing commas', `${think}${box}<points>[[1,2],]</points><labels>[1,]</labels>`, [[1, 2]], [1], [BOX], 1],
    ['comma missing between points', `${think}${box}<points>[[1,2][3,4]]</points>${labels}`, null, null, null, 0],
    ['comma missing between labels', `${think}${box}${points}<labels>[1 0]</labels>`, null, null, null, 0],
    ['leading zero', `${think}<bbox>[01,2,3,4]</bbox>${points}${labels}`, null, null, null, 0],
    ['label 2 (Seg-R1: fine)', `${think}${box}${points}<labels>[1,2]</labels>`, null, null, [BOX], 0],
    ['no points in the list', `${think}${box}<points>[]</points>${labels}`, null, LABELS, [BOX], 0],
    [
      'another order, spaces, junk after',
      `x ${labels}\n<points> [ [50 , 60],\n[70,80] ] </points>${think}${box}junk`,
      POINTS,
      LABELS,
      [BOX],
      1,
    ],
    ['two points tags', `${whole}<points>[[9,9]]</points>`, POINTS, LABELS, [BOX], 1],
    ['an unreadable tag before a good one', `<points>?</points>${whole}`, POINTS, LABELS, [BOX], 1],
    ['closing tag missing', think + box + points + '<labels>[1,0]', POINTS, null, [BOX], 0],
    ['zeros', `${think}<bbox>[00,0,3,4]</bbox>${points}${labels}`, POINTS, LABELS, [[0, 0, 3, 4]], 1],
    ['ten digits', `${think}<bbox>[1234567890,2,3,4]</bbox>${points}${labels}`, null, null, null, 0],
    [
      'out of the frame',
      `${think}<bbox>[900,2,1,4000]</bbox>${points}${labels}`,
      POINTS,
      LABELS,
      [[900, 2, 1, 4000]],
      1,
    ],
    ['nothing', '', null, null, null, 0],
  ])('%s', (_, text, expectedPoints, expectedLabels, boxes, format) => {
    expect(readParts(text)).toMatchObject({ points: expectedPoints, labels: expectedLabels, boxes });
    expect(parsed(text).formats).toEqual([format]);
  });

  it("finds what Seg-R1's regular expressions find", () => {
    const word = fc.constantFrom(
      '<points>',
      '</points>',
      '<labels>',
      '</labels>',
      '<bbox>',
      '</bbox>',
      '[',
      ']',
      '[',
      ']',
      ',',
      ',',
      ' ',
      '\n',
      '0',
      '1',
      '1',
      '12',
      '[[1,2],[3,4]]',
      '[1,0]',
      '[1,2,3,4]',
      'x',
      '-',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 14 }), (words) => {
        const text = words.join('');
        const { boxes } = readParts(text);
        const regex = /<bbox>\s*(\[\s*\d+\s*,\s*\d+\s*,\s*\d+\s*,\s*\d+\s*\])\s*<\/bbox>/g;
        const theirs = Array.from(text.matchAll(regex), ([, list]) => list);
        const bad = (list: string | undefined): boolean =>
          list !== undefined && (/\b0+[1-9]/.test(list) || /[\d\]]\s+[\d[]|\][[]/.test(list));
        const lists = [
          /<points>\s*(\[\s*(?:\[\s*\d+\s*,\s*\d+\s*\]\s*,?\s*)+\])\s*<\/points>/.exec(text)?.[1],
          /<labels>\s*(\[\s*(?:\d+\s*,?\s*)+\])\s*<\/labels>/.exec(text)?.[1],
        ];
        const expected =
          [...lists, ...theirs].some(bad) || theirs.length === 0
            ? null
            : theirs.map((list) => JSON.parse(list.replaceAll(/\b0+(?=0)/g, '')));
        expect(boxes).toEqual(expected);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('places in thousandths', () => {
  const shown = { width: 768, height: 512 };
  const text = `${think}<bbox>[0,500,1000,999]</bbox>, <points>[[250,1]]</points>, <labels>[1]</labels>`;
  const objects = [{ box: [0, 256, 768, 511], points: [{ x: 192, y: 1, label: 1 }] }];

  it('are read as pixels of the frame, strictly and leniently', async () => {
    const row = { ...rolledOut(text, '<bbox>[500,500,1000,1000]'), frame: shown };
    const { prompts, formats } = await firstValueFrom(
      of(row).pipe(parse({ coordinates: 'thousandths', lenient: true })),
    );
    expect(prompts).toEqual([
      { frame: shown, objects },
      { frame: shown, objects: [{ box: [384, 256, 768, 512], points: [] }] },
    ]);
    expect(formats).toEqual([1, 0]);
    expect(readPrompt(text, shown, { coordinates: 'thousandths' })).toEqual({ frame: shown, objects });
    expect(readPrompt('no', shown, { coordinates: 'thousandths' })).toBeNull();
  });

  it('are pixels where nothing is said', () => {
    expect(readPrompt(text, shown)?.objects[0].box).toEqual([0, 500, 1000, 999]);
  });
});

describe('readPrompt', () => {
  it('gives every box all points', () => {
    const prompt = readPrompt(`${whole}<bbox>[1,2,3,4]</bbox>`, frame);
    expect(prompt?.objects.map(({ box: own, points: clicks }) => [own, clicks.length])).toEqual([
      [BOX, 2],
      [[1, 2, 3, 4], 2],
    ]);
  });

  it.each([
    ['box alone', '<bbox>[1,2,3,4]</bbox>', [{ box: [1, 2, 3, 4], points: [] }]],
    ['points alone', '<points>[[1,2]]</points>', [{ points: [{ x: 1, y: 2, label: 1 }] }]],
    ['decimals and negative numbers', '<bbox>[-1.5,2.4,3.6,4]</bbox>', [{ box: [0, 2, 4, 4], points: [] }]],
    ['corners in another order', '<bbox>[30,40,10,20]</bbox>', [{ box: [10, 20, 30, 40], points: [] }]],
    [
      'several boxes in one tag',
      '<bbox>[[1,2,3,4],[5,6,7,8]]</bbox>',
      [
        { box: [1, 2, 3, 4], points: [] },
        { box: [5, 6, 7, 8], points: [] },
      ],
    ],
    ['no closing tag', '<bbox>[1,2,3,4', [{ box: [1, 2, 3, 4], points: [] }]],
    [
      "Qwen's own",
      '```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "bird"}, {"point_2d": [5, 6]}]\n```',
      [{ box: [1, 2, 3, 4], points: [{ x: 5, y: 6, label: 1 }] }],
    ],
    [
      'labels that do not fit drop the points',
      '<bbox>[1,2,3,4]</bbox><points>[[1,2]]</points><labels>[1,0]</labels>',
      [{ box: [1, 2, 3, 4], points: [] }],
    ],
    ['three numbers', '<bbox>[1,2,3]</bbox>', undefined],
    ['an opening without numbers', '<box> <points>', undefined],
    ['no numbers', '<bbox>[a]</bbox>', undefined],
    ['not a number', '<bbox>[1.2.3,4,5,6]</bbox>', undefined],
    ['parts of the frame', '<bbox>[0.1,0.2,0.9,1]</bbox><points>[[0.5,0.5]]</points>', undefined],
    ['y before x', '{"bbox_2d": {"y1": 1, "x1": 2, "y2": 3, "x2": 4}}', undefined],
    ['both x first', '<bbox>xmin: 1, xmax: 3, ymin: 2, ymax: 4</bbox>', undefined],
    ['a polygon', '<bbox>[[1,2],[3,2],[3,4],[1,4]]</bbox>', undefined],
    ['ranges', '<bbox>[1:3, 2:4]</bbox>', undefined],
    ['wide commas', '<bbox>[1，2，3，4]</bbox>', [{ box: [1, 2, 3, 4], points: [] }]],
    ['labels as words', '<points>[[1,2],[3,4]]</points><labels>[true,false]</labels>', undefined],
    ['quoted labels', '<points>[[1,2],[3,4]]</points><labels>["foreground","background"]</labels>', undefined],
    ['labels as words in JSON', '{"points": [[1,2],[3,4]], "labels": [true, false]}', undefined],
    ['a label below 0', '<points>[[1,2],[3,4]]</points><labels>[-1,1]</labels>', undefined],
    ['shares for labels', '<points>[[1,2],[3,4]]</points><labels>[0.9,0.2]</labels>', undefined],
    ['labels too long', '<points>[[1,2]]</points><labels>[1234567890]</labels>', undefined],
    ['a name with a number', '{"point_2d": [5,6], "label": "1 dog"}', [{ points: [{ x: 5, y: 6, label: 1 }] }]],
  ])('lenient: %s', (_, text, objects) => {
    expect(readPrompt(text, frame)).toBeNull();
    expect(readPrompt(text, frame, { lenient: true })?.objects).toEqual(objects);
  });

  // Each means the box 10 20 300 400, with the points (50, 60) and (70, 80), labelled 1 and 0.
  it.each([
    ['a box by another name', `<box>[10,20,300,400]<\\box>, ${points}${labels}`],
    ['its own closing tag wrong', `<bbox>[10,20,300,400]<\\bbox>, ${points}${labels}`],
    ['no closing tags', '<bbox>[10,20,300,400], <points>[[50,60],[70,80]], <labels>[1,0]'],
    [
      'an opening tag to close with',
      '<bbox>[10,20,300,400]<bbox>, <points>[[50,60],[70,80]]<points>, <labels>[1,0]<labels>',
    ],
    ['a slash in the opening tag', `<\\bbox>[10,20,300,400]</bbox>, ${points}${labels}`],
    ['a list in a list', `<bbox>[[10,20,300,400]]</bbox>, ${points}${labels}`],
    ['corners as points', `<bbox>[[10,20],[300,400]]</bbox>, ${points}${labels}`],
    ['round brackets', `<box>(10,20),(300,400)</box>, <points>(50,60),(70,80)</points>, ${labels}`],
    ["Qwen-VL's tags", `<|box_start|>(10,20),(300,400)<|box_end|>, ${points}${labels}`],
    [
      'capitals and spaces',
      `<BBOX> [10, 20, 300, 400] </BBOX> < points >[[50,60],[70,80]]</points> <Labels>[1, 0]</Labels>`,
    ],
    [
      'the singular',
      '<bounding_box>[10,20,300,400]</bounding_box><point>[[50,60],[70,80]]</point><label>[1,0]</label>',
    ],
    ['no brackets', `<bbox>10 20 300 400</bbox>, <points>50 60 70 80</points>, <labels>1 0</labels>`],
    ['names of sides', `<bbox>x1: 10, y1: 20, x2: 300, y2: 400</bbox>, ${points}${labels}`],
    ['decimals', `<bbox>[10.2, 19.8, 300.0, 400]</bbox>, ${points}${labels}`],
    ['leading zeros', `<bbox>[010,020,300,400]</bbox>, ${points}${labels}`],
    ['JSON', '{"bbox": [10, 20, 300, 400], "points": [[50, 60], [70, 80]], "labels": [1, 0]}'],
    [
      'JSON with sides',
      '{"bbox_2d": {"x1": 10, "y1": 20, "x2": 300, "y2": 400}, "points_2d": [[50, 60], [70, 80]], "labels": [1, 0]}',
    ],
    ["Python's quotes", "[{'bbox_2d': [10, 20, 300, 400], 'point_2d': [[50, 60], [70, 80]], 'label': [1, 0]}]"],
    [
      'a sketch in the thought',
      `<think>first <box>[1,2,3,4]</box></think> <box>[10,20,300,400]</box>, ${points}${labels}`,
    ],
  ])('lenient: %s', (_, text) => {
    expect(readPrompt(text, frame)?.objects ?? null).not.toEqual(readPrompt(whole, frame)?.objects);
    expect(readPrompt(text, frame, { lenient: true })).toEqual(readPrompt(whole, frame));
  });

  it('lenient: keeps the boxes apart that a list, JSON or several names hold, and each once', () => {
    const boxes = (text: string) => readPrompt(text, frame, { lenient: true })?.objects.map((one) => one.box);
    const both = [BOX, [1, 2, 3, 4]];
    expect(boxes(`<box>[[10,20,300,400],[1,2,3,4]]<\\box>${points}${labels}`)).toEqual(both);
    expect(
      boxes('[{"bbox_2d": [10,20,300,400], "label": "a dog"}, {"bbox_2d": [1,2,3,4], "label": "2 cats"}]'),
    ).toEqual(both);
    expect(boxes(`${whole} <box>[1,2,3,4]</box>`)).toEqual(both);
    expect(boxes(`${whole} {"bbox_2d": [10,20,300,400]}`)).toEqual([BOX]);
    expect(boxes(whole)).toEqual([BOX]);
  });

  it('says what it overlooked, and nothing of what is well-formed', () => {
    const told: (readonly string[])[] = [];
    of(rolledOut(whole, 'no', `<box>[[10,20,300,400]]<\\box>${points}`, '{"bbox_2d": [1,2,3,4.5]}'))
      .pipe(parse({ lenient: true }, (repairs) => told.push(repairs)))
      .subscribe();
    expect(told).toEqual([[], [], ['another tag', 'closing tag', 'lists', 'missing parts'], ['JSON', 'missing parts']]);
  });

  it.each([
    ['in capitals', '<Think>x <box>[1,2,3,4]</box></Think> '],
    ['by another name', '<thinking>x <box>[1,2,3,4]</box></thinking> '],
    ['in another one', '<think>x <think>y</think> <box>[1,2,3,4]</box></think> '],
    ['that the prompt opened', 'x <box>[1,2,3,4]</box></think> '],
  ])('leaves out what stands in a thought %s', (_, thought) => {
    expect(readPrompt(`${thought}<box>[10,20,300,400]</box>`, frame, { lenient: true })?.objects).toEqual([
      { box: BOX, points: [] },
    ]);
  });

  it.each([
    ['digits', (n: number) => `<bbox>[${'1'.repeat(n)}`],
    ['digits in labels', (n: number) => `<labels>[${'1'.repeat(n)}</labels>`],
    ['spaced digits', (n: number) => `<labels>[${'1 '.repeat(n / 2)}</labels>`],
    ['unclosed tags', (n: number) => '<points>'.repeat(n / 8)],
    ['unclosed thoughts', (n: number) => '<think>'.repeat(n / 7)],
    ['brackets', (n: number) => `<points>${'['.repeat(n)}`],
    ['pairs', (n: number) => `<points>[${'[1,2],'.repeat(n / 6)}`],
    ['spaces', (n: number) => `<bbox>${' '.repeat(n)}`],
    ['boxes', (n: number) => '<bbox>[1,2,3,4]</bbox>'.repeat(n / 22)],
    ['minus signs', (n: number) => `<bbox>${'-'.repeat(n)}`],
    ['sides', (n: number) => `<box>${'x1: 1,'.repeat(n / 6)}`],
    ['spaces behind a name', (n: number) => `<box>x1${' '.repeat(n)}`],
    ['spaces in a tag', (n: number) => `<${' '.repeat(n)}`],
    ['keys', (n: number) => '"bbox_2d"'.repeat(n / 9)],
    ['closed thoughts', (n: number) => '<think></think>'.repeat(n / 15)],
    ['half pairs', (n: number) => `<box>${'[1 '.repeat(n / 3)}`],
  ])('comes to an end with 800 k characters of %s', (_, hostile) => {
    expect([null, expect.anything()]).toContainEqual(readPrompt(hostile(800_000), frame, { lenient: true }));
  });
});

function rolledOut(...texts: readonly string[]): RolledOut {
  return {
    id: '0/0/bird',
    image: { path: 'bird.jpg' },
    task: 'segment',
    frame,
    original: frame,
    prompt: '',
    promptTokens: [],
    completions: texts.map((text) => ({ text, tokens: [], logProbs: [], finish: 'stop' as const })),
    policyVersion: 0,
  };
}

function parsed(text: string, options: Parameters<typeof parse>[0] = {}): Prompted {
  const rows: Prompted[] = [];
  of(rolledOut(text))
    .pipe(parse(options))
    .subscribe((row) => rows.push(row));
  return rows[0];
}
