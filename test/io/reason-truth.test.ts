import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import { decodeMask, maskArea, toCocoString } from '../../src/io/mask.js';
import { readReasonAnnotation, reasonMasks, type ReasonShape } from '../../src/io/reason-truth.js';
import { polygons } from '../polygons.js';

const folder = mkdtempSync(join(tmpdir(), 'segr1-reason-'));
afterAll(() => rmSync(folder, { recursive: true }));

const square = (label: string, from: number, to: number): ReasonShape => ({
  label,
  points: [
    [from, from],
    [to, from],
    [to, to],
    [from, to],
  ],
});
const size = { width: 10, height: 10 };

describe('reasonMasks', () => {
  it('draws as opencv does, outline and all', () => {
    const apart = polygons.filter(
      ({ size: [height, width], points, cv2 }) =>
        toCocoString(reasonMasks([{ label: 'target', points }], { width, height }).truth) !== cv2,
    );
    expect(apart).toEqual([]);
  });

  it('draws the larger first, whatever their order', () => {
    for (const shapes of [
      [square('target', 1, 8), square('ignore this', 3, 5)],
      [square('IGNORE', 3, 5), square('target', 1, 8)],
    ]) {
      const { truth, ignore } = reasonMasks(shapes, size);
      expect([maskArea(truth), maskArea(ignore)]).toEqual([64 - 9, 9]);
    }
  });

  it('lays a smaller target over an ignored region', () => {
    const { truth, ignore } = reasonMasks([square('target', 3, 5), square('ignore', 1, 8)], size);
    expect([maskArea(truth), maskArea(ignore)]).toEqual([9, 64 - 9]);
  });

  it('leaves flags out, and only what is called exactly so', () => {
    expect(maskArea(reasonMasks([square('Flag', 0, 9)], size).truth)).toBe(0);
    expect(maskArea(reasonMasks([square('flagpole', 0, 9)], size).truth)).toBe(100);
  });

  it('draws two points as a line, and one as a pixel', () => {
    expect(
      [
        ...decodeMask(
          reasonMasks(
            [
              {
                label: 'target',
                points: [
                  [0, 0],
                  [3, 0],
                ],
              },
            ],
            size,
          ).truth,
        ),
      ].slice(0, 5),
    ).toEqual([1, 1, 1, 1, 0]);
    expect(maskArea(reasonMasks([{ label: 'target', points: [[4, 4]] }], size).truth)).toBe(1);
  });

  it('refuses a shape without points, or far away', () => {
    expect(() => reasonMasks([{ label: 'target', points: [] }], size)).toThrow(
      'shape "target": expected points within 100000 px; got none',
    );
    expect(() => reasonMasks([{ label: 'target', points: [[0, 1e9]] }], size)).toThrow('got 1000000000');
  });
});

describe('reasonMasks, of a file that lies', () => {
  const zigzag = Array.from({ length: 20_000 }, (_, i): [number, number] => [i % 1000, i % 2 ? 3000 : 0]);
  it.each([
    ['too many shapes', Array.from({ length: 1000 }, () => ({ label: 'target', points: zigzag.slice(0, 3) }))],
    ['one of too many edges', [{ label: 'target', points: zigzag }]],
  ])('refuses %s', (_, shapes) => {
    expect(() => reasonMasks(shapes, { width: 4000, height: 3000 })).toThrow(
      `shapes: expected some that are drawn in seconds; got ${shapes.length} on 4000x3000`,
    );
  });
});

describe('readReasonAnnotation', () => {
  const file = (name: string, bytes: Buffer | string): string => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };
  const json = (text: string): string =>
    JSON.stringify({ text: [text], is_sentence: false, shapes: [square('target', 0, 1)] });

  it('reads UTF-8, and cp1252 where that fails', () => {
    expect(readReasonAnnotation(file('u.json', json('a café – “in”'))).text).toEqual(['a café – “in”']);
    const western = Buffer.from(json('caf\u00e9 \u0096 \u0093in\u0094'), 'latin1');
    expect(readReasonAnnotation(file('w.json', western)).text).toEqual(['café – “in”']);
  });

  it.each([
    ['a file cut off', json('x').slice(0, 30)],
    ['no shapes', '{"text": ["x"]}'],
    ['no text', '{"text": [], "shapes": []}'],
    ['a point of three numbers', '{"text": ["x"], "shapes": [{"label": "a", "points": [[1, 2, 3]]}]}'],
  ])('refuses %s', (_, text) => {
    expect(() => readReasonAnnotation(file('bad.json', text))).toThrow(DataError);
    expect(() => readReasonAnnotation(file('bad.json', text))).toThrow('bad.json  annotation: expected JSON with text');
  });
});
