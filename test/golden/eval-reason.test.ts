import { readFileSync } from 'node:fs';
import { join, parse } from 'node:path';

import { describe, expect, it } from 'vitest';

import { imageSize, readImageFile, toGray } from '../../src/io/image.js';
import { encodeMask, fromCocoString, maskArea, toCocoString } from '../../src/io/mask.js';
import { readReasonAnnotation } from '../../src/io/reason-truth.js';
import { reasonItems } from '../../src/io/sets/reason.js';
import { readTruth, type Truth } from '../../src/io/truth.js';
import { scoreReferring, type Answer } from '../../src/operators/scoring/score-referring.js';
import { differing, evalFolder, jsonOf, linesOf, scoresOf } from './eval-sets.js';

interface Stored {
  readonly items: readonly {
    readonly stem: string;
    readonly split: string;
    readonly encoding: string;
    readonly texts: readonly string[];
    readonly is_sentence: boolean;
    readonly target_pixels: number;
    readonly ignore_pixels: number;
  }[];
  readonly scores: Readonly<Record<string, Readonly<Record<string, unknown>> & { readonly samples: number }>>;
}
interface Prediction {
  readonly split: string;
  readonly stem: string;
  readonly text_index: number;
  readonly size: readonly [number, number];
  readonly counts: string;
}

const folder = evalFolder('reason') ?? '';
const expected = folder ? jsonOf<Stored>(folder, 'expected.json') : { items: [], scores: {} };
const splits = [...new Set(expected.items.map(({ split }) => split))];

describe.runIf(folder)('ReasonSeg (of photos, so only where the full goldens are)', () => {
  it.each(expected.items.map((item) => [item.stem, item] as const))(
    '%s: texts, target and what is ignored',
    async (stem, item) => {
      const path = join(folder, 'ReasonSeg', item.split, `${stem}.json`);
      const { text, is_sentence: sentences } = readReasonAnnotation(path);
      expect([text, sentences]).toEqual([item.texts, item.is_sentence]);
      expect(isUtf8(readFileSync(path))).toBe(item.encoding === 'utf-8');

      const { mask, ignore } = await truthOf(path);
      expect([maskArea(mask), ignore && maskArea(ignore)]).toEqual([item.target_pixels, item.ignore_pixels]);
      const picture = await readImageFile(join(folder, 'gt', `${stem}.png`));
      const levels = toGray(picture);
      expect(toCocoString(mask)).toBe(
        toCocoString(
          encodeMask(
            levels.map((level) => (level === 1 ? 1 : 0)),
            picture,
          ),
        ),
      );
      expect(ignore && toCocoString(ignore)).toBe(
        toCocoString(
          encodeMask(
            levels.map((level) => (level === 255 ? 1 : 0)),
            picture,
          ),
        ),
      );
    },
  );

  it.each(splits)('%s: an item a text, with the prompt that it asks for', (split) => {
    const items = reasonItems(folder, split);
    const wanted = expected.items
      .filter((item) => item.split === split)
      .flatMap(({ texts, is_sentence }) =>
        texts.map((text) => [text, is_sentence ? 'reason-sentence' : 'reason-phrase']),
      );
    expect(items.map(({ instruction, task }) => [instruction, task])).toEqual(wanted);
  });

  it.each(Object.entries(expected.scores))('%s', async (name, entry) => {
    const [which, texts] = name.split(' ') as [string, 'first' | 'all'];
    const wanted = linesOf<Prediction>(folder, 'predictions.jsonl').filter(
      ({ split, text_index: text }) => (which === 'both' || which === split) && (texts === 'all' || text === 0),
    );
    const items = new Map(splits.flatMap((split) => reasonItems(folder, split)).map((item) => [item.name, item]));
    const answers = wanted.map(async ({ stem, text_index: text, size: [height, width], counts }): Promise<Answer> => {
      const item = items.get(`${stem}-${text}`);
      const { mask: truth, ignore } = await truthOf(item?.mask ?? '');
      return {
        id: item?.name ?? '',
        predicted: fromCocoString(counts, { width, height }),
        truth,
        ...(ignore && { ignore }),
      };
    });
    const { sets, items: each } = scoreReferring(await Promise.all(answers));
    expect(each).toHaveLength(entry.samples);
    expect(differing(scoresOf(entry), sets)).toEqual([]);
  });
});

async function truthOf(path: string): Promise<Truth> {
  const size = await imageSize(join(parse(path).dir, `${parse(path).name}.jpg`));
  return readTruth(path, size, size);
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes) !== '';
  } catch {
    return false;
  }
}
