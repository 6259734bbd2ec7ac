import { describe, expect, it } from 'vitest';

import { objectsOf } from '../../src/cli/asked.js';

describe('objectsOf', () => {
  it('gives every box all points, and points alone one object', () => {
    const points = [
      { x: 1, y: 2, label: 1 },
      { x: -3.5, y: 4, label: 0 },
    ];
    const words = { points: ['1,2', '-3.5, 4'], labels: ['1', '0'] };
    expect(objectsOf({ boxes: ['9,8,1,2', '0,0,5,5'], ...words })).toEqual([
      { box: [1, 2, 9, 8], points },
      { box: [0, 0, 5, 5], points },
    ]);
    expect(objectsOf({ boxes: [], ...words })).toEqual([{ points }]);
    expect(objectsOf({ boxes: [], points: ['1,2'], labels: [] })).toEqual([{ points: [points[0]] }]);
    expect(objectsOf({ boxes: [], points: [], labels: [] })).toEqual([]);
  });

  it.each([
    ['three corners', { boxes: ['1,2,3'] }, '--box: expected x1,y1,x2,y2, in pixels; got "1,2,3"'],
    ['a corner left out', { boxes: ['1,,3,4'] }, '--box: expected x1,y1,x2,y2, in pixels; got "1,,3,4"'],
    [
      'a box without an area',
      { boxes: ['5,2,5,9'] },
      '--box: expected x1,y1,x2,y2 with an area between; got "5,2,5,9"',
    ],
    ['a point that is none', { points: ['1,up'] }, '--point: expected x,y, in pixels; got "1,up"'],
    [
      'a label that SAM reads as a corner',
      { points: ['1,2'], labels: ['2'] },
      '--label: expected 1, the object, or 0, what is not; got "2"',
    ],
    [
      'labels that are more than points',
      { points: ['1,2'], labels: ['1', '0'] },
      '--label: expected one a point, 1 in all; got 2',
    ],
    ['labels without points', { labels: ['1'] }, '--label: expected one a point, 0 in all; got 1'],
  ])('refuses %s', (_, words, message) => {
    expect(() => objectsOf({ boxes: [], points: [], labels: [], ...words })).toThrow(message);
  });
});
