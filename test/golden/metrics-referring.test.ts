import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { fromCocoString } from '../../src/io/mask.js';
import { scoreReferring, type Answer } from '../../src/operators/scoring/score-referring.js';
import type { Mask } from '../../src/records.js';
import { differing, jsonOf, linesOf, scoresOf } from './eval-sets.js';
import { goldenFolder } from './golden.js';

interface Group extends Readonly<Record<string, unknown>> {
  readonly names: readonly string[];
}

const stored = join(goldenFolder(), 'metrics', 'referring.json');
const groups = existsSync(stored) ? jsonOf<{ groups: Record<string, Group> }>(stored).groups : {};
const masks = new Map(
  linesOf<{ name: string; size: [number, number]; counts: string }>(goldenFolder(), 'masks', 'rle.jsonl').map(
    ({ name, size: [height, width], counts }) => [name, fromCocoString(counts, { width, height })],
  ),
);
const usable = Object.entries(groups).filter(([, { names }]) => names.every((name) => masks.has(`${name}/gt`)));

describe('referring scores agree with their published formulas', () => {
  it.runIf(masks.has('blackswan_00004-dilate/gt'))('on every group, where the photos are', () =>
    expect(usable).toHaveLength(Object.keys(groups).length),
  );

  it.each(usable)('%s', (_, { names, ...scores }) => {
    const answers = names.map((id): Answer => ({
      id,
      predicted: masks.get(`${id}/pred`) as Mask,
      truth: masks.get(`${id}/gt`) as Mask,
    }));
    expect(differing(scoresOf(scores), scoreReferring(answers).sets)).toEqual([]);
  });
});
