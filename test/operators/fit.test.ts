import { from, lastValueFrom, of, toArray } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import { encodeMask } from '../../src/io/mask.js';
import { openGrabCut } from '../../src/models/grabcut/segmenter.js';
import type { Segmenter } from '../../src/models/segmenter.js';
import { answerText, fit, fitPrompt, placeOf } from '../../src/operators/fit.js';
import { readPrompt } from '../../src/operators/parse.js';
import type { Mask, Prompt, Sample } from '../../src/records.js';
import { drawn, type Kind, shows } from '../models/drawn.js';

const line = { width: 12, height: 1 };

/** One row of pixels: `#` is object. */
function bits(text: string): Uint8Array {
  return Uint8Array.from(text, (sign) => Number(sign === '#'));
}

/** Answers in order, whatever is asked; the prompts asked are kept. */
function scripted(...answers: string[]) {
  const asked: Prompt[] = [];
  const segmentOnce = async (prompt: Prompt): Promise<Mask> => {
    asked.push(prompt);
    return encodeMask(bits(answers[asked.length - 1]), line);
  };
  return { asked, segmentOnce };
}

describe('fitPrompt', () => {
  it('clicks the object first, then the largest error inside the box, and keeps the best prefix', async () => {
    const { segmentOnce, asked } = scripted('############', '..###.......', '..###.####..', '..#.........');
    const { prompt, iou } = await fitPrompt(segmentOnce, bits('..#######...'), line, { maxClicks: 3, stop: 1 });
    const [first, second, third] = [2, 5, 5].map((x) => ({ x, y: 0, label: 1 }));
    expect(asked.map(({ objects }) => objects[0].points)).toEqual([
      [],
      [first],
      [first, second],
      [first, second, third],
    ]);
    expect(iou.map((value) => value.toFixed(4))).toEqual(['0.5833', '0.4286', '0.7500', '0.1429']);
    expect(prompt).toEqual({ frame: line, objects: [{ box: [2, 0, 8, 0], points: [first, second] }] });
  });
  it('clicks ground that was taken for object as background', async () => {
    const { segmentOnce } = scripted('.#########..', '.#########..', '.###..####..');
    const { prompt, iou } = await fitPrompt(segmentOnce, bits('.##....###..'), line, { maxClicks: 2, stop: 1 });
    expect(prompt.objects[0].points).toEqual([
      { x: 7, y: 0, label: 1 },
      { x: 3, y: 0, label: 0 },
    ]);
    expect(iou[2]).toBeCloseTo(5 / 7, 12);
  });
  it('places one click however good the box is, and stops there', async () => {
    const { segmentOnce, asked } = scripted('..###.......', '..###.......');
    expect((await fitPrompt(segmentOnce, bits('..###.......'), line, { maxClicks: 4, stop: 0.95 })).iou).toEqual([
      1, 1,
    ]);
    expect(asked).toHaveLength(2);
  });
  it('stops when no error is left to click', async () => {
    const spill = '..###...##..';
    const { segmentOnce, asked } = scripted(spill, spill);
    await fitPrompt(segmentOnce, bits('..###.......'), line, { maxClicks: 4, stop: 0.95 });
    expect(asked).toHaveLength(2);
  });
  it('refuses an empty truth', async () => {
    await expect(
      fitPrompt(scripted().segmentOnce, bits('............'), line, { maxClicks: 1, stop: 1 }),
    ).rejects.toThrow(DataError);
  });
});

describe('answerText', () => {
  const frame = { width: 100, height: 100 };
  const points = [
    { x: 12, y: 20, label: 1 },
    { x: 30, y: 9, label: 0 },
  ] as const;

  it('writes box, points and labels after a thought', () => {
    expect(answerText({ frame, objects: [{ box: [1, 2, 33, 44], points }] })).toBe(
      '<think> top left </think> <bbox>[1,2,33,44]</bbox>, <points>[[12,20],[30,9]]</points>, <labels>[1,0]</labels>',
    );
  });
  it('writes what parse reads', () => {
    const prompt: Prompt = { frame, objects: [{ box: [1, 2, 33, 44], points }] };
    expect(readPrompt(answerText(prompt), frame)).toEqual(prompt);
  });
  it('writes thousandths, which come back as they were of any frame up to 1000 px', () => {
    for (const side of [33, 768, 1000]) {
      const odd = { width: side, height: 31 };
      const prompt: Prompt = {
        frame: odd,
        objects: [{ box: [0, 1, side - 1, 30], points: [{ x: 17, y: 2, label: 1 }] }],
      };
      const text = answerText(prompt, 'it', 'thousandths');
      expect(text).toContain(`<bbox>[0,32,${Math.round((1000 * (side - 1)) / side)},968]</bbox>`);
      expect(readPrompt(text, odd, { coordinates: 'thousandths' })).toEqual(prompt);
    }
  });
  it('writes a tag for each box and one list of points', () => {
    const prompt: Prompt = {
      frame,
      objects: [
        { box: [1, 2, 33, 44], points: [points[0]] },
        { box: [50, 50, 90, 90], points: [{ x: 60, y: 60, label: 1 }] },
      ],
    };
    expect(answerText(prompt, 'two')).toBe(
      '<think> two </think> <bbox>[1,2,33,44]</bbox>, <bbox>[50,50,90,90]</bbox>, <points>[[12,20],[60,60]]</points>, <labels>[1,1]</labels>',
    );
  });
  it.each([
    [[0, 0, 30, 30], 'top left'],
    [[30, 30, 70, 70], 'middle center'],
    [[60, 0, 99, 20], 'top right'],
    [[30, 80, 70, 99], 'bottom center'],
  ] as const)('finds the place of %j: %s', (box, place) => {
    expect(placeOf({ frame, objects: [{ box: box, points: [] }] })).toBe(place);
  });
  it('goes by the points where there is no box', () => {
    expect(placeOf({ frame, objects: [{ points }] })).toBe('top left');
  });
});

describe('fit', () => {
  const frame = { width: 112, height: 112 };
  let segmenter: Segmenter;
  beforeAll(async () => void (segmenter = await openGrabCut()));
  afterAll(() => segmenter.release());

  const truthOf = (kind: Kind): Mask => {
    const canvas = (at: number): number => Math.floor((at * 120) / 112);
    return encodeMask(
      Uint8Array.from({ length: 112 * 112 }, (_, i) =>
        Number(shows(kind, canvas(i % 112), canvas(Math.floor(i / 112)))),
      ),
      frame,
    );
  };
  const sample = (kind: Kind, more: Partial<Sample> = {}): Sample => ({
    id: kind,
    image: { path: kind },
    truth: truthOf(kind),
    task: '',
    frame,
    original: frame,
    ...more,
  });
  const run = (rows: readonly Sample[], options = {}) =>
    lastValueFrom(
      from(rows).pipe(
        fit(
          {
            segmenter,
            readImage: async (source) => drawn(('path' in source ? source.path : 'disc') as Kind, 112, 112),
          },
          options,
        ),
        toArray(),
      ),
    );

  it('finds prompts that lead grabCut to the truth', async () => {
    const got = await run([sample('disc'), sample('two'), sample('ring')]);
    for (const { fitted } of got) expect(Math.max(...fitted.ious.slice(1))).toBeGreaterThan(0.85);
    expect(got[0].fitted.prompt.objects[0].box).toEqual([21, 34, 77, 90]);
    expect(got[0].fitted.text).toMatch(
      /^<think> middle center <\/think> <bbox>\[21,34,77,90\]<\/bbox>, <points>\[\[\d+,\d+\]/,
    );
  });
  it('thinks what its template says', async () => {
    const [{ fitted }] = await run([sample('disc')], { think: 'It is {place}.', maxClicks: 1 });
    expect(fitted.text).toContain('<think> It is middle center. </think>');
  });
  it('marks rows without a truth, with an empty one or an unreadable image', async () => {
    const { truth: _, ...bare } = sample('disc');
    const empty = sample('disc', { truth: { ...frame, counts: [112 * 112] } });
    const got = await run([bare, empty]);
    const unreadable = await lastValueFrom(
      of(sample('disc')).pipe(fit({ segmenter, readImage: () => Promise.reject(new Error('gone')) })),
    );
    expect([...got, unreadable].map(({ skipped }) => skipped?.stage)).toEqual(['fit', 'fit', 'fit']);
    expect(got[0].skipped?.reason).toBe('disc  truth: expected a mask to fit; got nothing');
  });
  it('passes marked rows on as they are', async () => {
    const marked = sample('disc', { skipped: { stage: 'load', reason: 'early' } });
    expect((await run([marked]))[0]).toBe(marked);
  });
});
