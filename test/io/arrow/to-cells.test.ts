import { describe, expect, it } from 'vitest';

import { DataError } from '../../../src/errors.js';
import { rowSchema } from '../../../src/io/arrow/columns.js';
import { toCells } from '../../../src/io/arrow/rows.js';
import type { Row } from '../../../src/records.js';

const sample: Row = {
  id: '0/0/a',
  image: { path: 'a.png' },
  task: 'segment',
  frame: { width: 4, height: 3 },
  original: { width: 8, height: 6 },
};

describe('toCells', () => {
  it.each([0.5, NaN, 2 ** 31])('refuses %s where the column holds integers', (step) => {
    const act = () => toCells({ ...sample, step }, rowSchema([]));
    expect(act).toThrow(DataError);
    expect(act).toThrow(`row 0/0/a  a column of 32-bit integers: expected one; got ${step}`);
  });

  it('refuses a part of the reward that the schema lacks', () => {
    const rewards = { total: [1], byName: { structure: [1] } };
    expect(() => toCells({ ...sample, rewards }, rowSchema(['format', 'iou']))).toThrow(
      'row 0/0/a  parts of the reward: expected format, iou; got "structure"',
    );
  });

  it('refuses a score that the schema lacks', () => {
    expect(() => toCells({ ...sample, scores: { mae: 0 } }, rowSchema([], {}, { scores: ['structure'] }))).toThrow(
      'row 0/0/a  scores: expected structure; got "mae"',
    );
  });

  it('writes a mask as COCO has it: height first, counts as bytes', () => {
    const cells = toCells({ ...sample, truth: { width: 4, height: 3, counts: [5, 2, 5] } }, rowSchema([]));
    // pycocotools 2.0.11: frPyObjects({'size': [3, 4], 'counts': [5, 2, 5]}, 3, 4)['counts']
    expect(cells.truth).toEqual({ size: [3, 4], counts: new TextEncoder().encode('525') });
  });
});
