import { from, lastValueFrom, type OperatorFunction, toArray } from 'rxjs';
import { describe, expect, expectTypeOf, it } from 'vitest';

import { DataError, ModelError } from '../../src/errors.js';
import type { ReadImage, Segmenter } from '../../src/models/segmenter.js';
import { mask, masksOf, recentMasks } from '../../src/operators/mask.js';
import type { Mask, Masked, Prompt, Prompted, Row } from '../../src/records.js';
import { overtaken } from '../waiting.js';

const frame = { width: 4, height: 2 };

/** A prompt at one place; the fake segmenter answers with a mask that says which. */
function at(x: number): Prompt {
  return { frame, objects: [{ points: [{ x, y: 0, label: 1 }] }] };
}

function maskAt(x: number): Mask {
  return { ...frame, counts: [2 * x, 1, 7 - 2 * x] };
}

function row(path: string, prompts: readonly (Prompt | null)[]): Prompted {
  return {
    id: path,
    image: { path },
    task: '',
    frame,
    original: frame,
    prompt: '',
    promptTokens: [],
    completions: [],
    policyVersion: 0,
    prompts,
    formats: prompts.map(() => 1),
  };
}

function fakes(wait: () => Promise<void> = async () => {}) {
  const calls: number[][] = [];
  const reads: unknown[] = [];
  const segmenter: Segmenter = {
    name: 'fake/1',
    segment: async ({ prompts }) => {
      const places = prompts.map(({ objects }) => objects[0].points[0].x);
      calls.push(places);
      await wait();
      return places.map(maskAt);
    },
    release: async () => {},
  };
  const readImage: ReadImage = async (source, size = frame) => {
    reads.push(source);
    if ('path' in source && source.path === 'broken.jpg')
      throw new DataError('broken.jpg  image: expected a picture; got 0 bytes');
    return { ...size, data: new Uint8Array(size.width * size.height * 3) };
  };
  return { calls, reads, segmenter, readImage };
}

function run<T extends Prompted>(rows: readonly T[], stage: OperatorFunction<T, T & Masked>): Promise<(T & Masked)[]> {
  return lastValueFrom(from(rows).pipe(stage, toArray()));
}

describe('mask', () => {
  it('adds one mask a prompt, in order, null where the prompt is null', async () => {
    const { segmenter, readImage, calls } = fakes();
    const [got] = await run([row('a.jpg', [at(2), null, at(0), at(2)])], mask({ segmenter, readImage }));
    expect(got.masks).toEqual([maskAt(2), null, maskAt(0), maskAt(2)]);
    expect(calls).toEqual([[2, 0]]);
  });
  it('gives rows back in the order they came, whatever each takes', async () => {
    const { segmenter, readImage } = fakes(overtaken());
    const rows = [0, 1, 2, 3].map((x) => row(`${x}.jpg`, [at(x)]));
    const got = await run(rows, mask({ segmenter, readImage }, { inflight: 3 }));
    expect(got.map(({ id, masks }) => [id, masks])).toEqual([0, 1, 2, 3].map((x) => [`${x}.jpg`, [maskAt(x)]]));
  });
  it('answers from earlier rows what is asked again about an image', async () => {
    const { segmenter, readImage, calls, reads } = fakes();
    const rows = [
      row('a.jpg', [at(0), at(1)]),
      row('b.jpg', [at(0)]),
      row('a.jpg', [at(1), at(2)]),
      row('a.jpg', [at(0)]),
    ];
    const got = await run(rows, mask({ segmenter, readImage }, { inflight: 1 }));
    expect(calls).toEqual([[0, 1], [0], [2]]);
    expect(reads).toHaveLength(3);
    expect(got[3].masks).toEqual([maskAt(0)]);
  });
  it('asks again when it keeps nothing', async () => {
    const { segmenter, readImage, calls } = fakes();
    await run([row('a.jpg', [at(0)]), row('a.jpg', [at(0)])], mask({ segmenter, readImage }, { cacheMegabytes: 0 }));
    expect(calls).toEqual([[0], [0]]);
  });
  it('reads no image where nothing is asked', async () => {
    const { segmenter, readImage, reads, calls } = fakes();
    const [got] = await run([row('broken.jpg', [null, null])], mask({ segmenter, readImage }));
    expect([got.masks, reads, calls]).toEqual([[null, null], [], []]);
  });
  it('marks a row whose image cannot be read, and passes marked rows on as they are', async () => {
    const { segmenter, readImage, reads } = fakes();
    const marked: Prompted = { ...row('broken.jpg', [at(0)]), skipped: { stage: 'load', reason: 'early' } };
    const got = await run([marked, row('broken.jpg', [at(0)]), row('a.jpg', [at(1)])], mask({ segmenter, readImage }));
    expect(got[0]).toBe(marked);
    expect(got[1].skipped).toEqual({ stage: 'mask', reason: 'broken.jpg  image: expected a picture; got 0 bytes' });
    expect(got[1]).not.toHaveProperty('masks');
    expect(got[2].masks).toEqual([maskAt(1)]);
    expect(reads).toHaveLength(2);
  });
  it('marks a row for any reason that reading fails', async () => {
    const { segmenter } = fakes();
    const [got] = await run(
      [row('a.jpg', [at(0)])],
      mask({ segmenter, readImage: () => Promise.reject(new Error('no such host')) }),
    );
    expect(got.skipped).toEqual({ stage: 'mask', reason: 'no such host' });
  });
  it('errors when the segmenter fails', async () => {
    const { readImage, segmenter } = fakes();
    const failing: Segmenter = {
      ...segmenter,
      segment: () => Promise.reject(new ModelError('fake/1  segment: out of memory')),
    };
    await expect(run([row('a.jpg', [at(0)])], mask({ segmenter: failing, readImage }))).rejects.toThrow(ModelError);
  });
  it('widens the row by one column', () => {
    const { segmenter, readImage } = fakes();
    expectTypeOf(mask<Prompted>({ segmenter, readImage })).toEqualTypeOf<
      OperatorFunction<Prompted, Prompted & Masked>
    >();
    expectTypeOf<Masked>().toExtend<Row>();
  });
  it('refuses options it does not know', () => {
    const { segmenter, readImage } = fakes();
    expect(() => mask({ segmenter, readImage }, { inflght: 2 } as object)).toThrow('inflght');
  });
});

describe('masksOf', () => {
  it('asks nothing for null prompts', async () => {
    const cut = (): Promise<Mask[]> => Promise.reject(new Error('asked'));
    expect(await masksOf([null, null], 'a', cut)).toEqual([null, null]);
  });
});

describe('recentMasks', () => {
  it('drops the least recently asked for', () => {
    const each = 200 + 2 + 24;
    const masks = recentMasks(2 * each);
    masks.set('a', maskAt(0));
    masks.set('b', maskAt(1));
    masks.get('a');
    masks.set('c', maskAt(2));
    expect(['a', 'b', 'c'].map((key) => masks.get(key))).toEqual([maskAt(0), undefined, maskAt(2)]);
  });
  it('counts what is set twice once', () => {
    const masks = recentMasks(2 * (200 + 2 + 24));
    for (let i = 0; i < 9; i++) masks.set('a', maskAt(0));
    masks.set('b', maskAt(1));
    expect(masks.get('a')).toEqual(maskAt(0));
  });
});
