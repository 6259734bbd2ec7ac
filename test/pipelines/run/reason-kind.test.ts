import { describe, expect, it } from 'vitest';

import { reasonKind } from '../../../src/pipelines/run/reason-kind.js';
import { RowTracker } from '../../../src/pipelines/run/row-tracker.js';

const row = (n: number) => ({
  id: `e0/${n}/image-${n}`,
  image: { path: `/data/im/image-${n}.png` },
  truthPath: `/data/gt/image-${n}.png`,
});

describe('reasonKind', () => {
  it.each([
    ['/data/gt/image-3.png  mask: expected a file', 'mask: expected a file'],
    ['image: expected a file; got /data/im/image-3.png', 'image: expected a file; got …'],
    ['e0/3/image-3  truth: expected a mask', 'truth: expected a mask'],
    ['own: cannot use image-3.png of "/elsewhere/with it/3.json"', 'own: cannot use … of "… it/3.json"'],
    ['server: http://127.0.0.1:1/v1 said no', 'server: http://127.0.0.1:1/v1 said no'],
    ['no mask', 'no mask'],
    [
      'mask of another size: expected 4x4 as the image; got 5x5',
      'mask of another size: expected 4x4 as the image; got 5x5',
    ],
  ])('%s', (reason, kind) => {
    expect(reasonKind(reason, row(3))).toBe(kind);
  });

  it('drops the annotation of a shared file', () => {
    const reason = '/data/instances.json#6  annotation: polygon: expected more';
    const of = { ...row(1), truthPath: '/data/instances.json#5,6' };
    expect(reasonKind(reason, of)).toBe('annotation: polygon: expected more');
  });

  it('adds up rows with one fault', () => {
    const tracker = new RowTracker();
    for (const n of [1, 2, 3]) {
      tracker.enter(row(n));
      tracker.leave({
        ...row(n),
        skipped: { stage: 'load', reason: `/data/gt/image-${n}.png  mask: expected another` },
      });
    }
    expect(tracker.marked).toEqual({ load: { 'mask: expected another': 3 } });
  });
});
