import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { ModelError } from '../../../src/errors.js';
import { GrabCutOptions, openGrabCut } from '../../../src/models/grabcut/segmenter.js';
import type { Box, Prompt } from '../../../src/records.js';
import { drawn, type Kind } from '../drawn.js';
import { behavesAsSegmenter } from '../segmenter-behaviour.js';

behavesAsSegmenter('grabCut', (threads) => openGrabCut({ threads }));

interface Made {
  readonly image: readonly [number, number];
  readonly frame: readonly [number, number];
  readonly size: number;
  readonly iterations: number;
  readonly radius: number;
  readonly cases: readonly {
    readonly kind: Kind;
    readonly objects: readonly [Box, readonly [number, number, 0 | 1][]][];
    readonly counts: readonly number[];
  }[];
}

// Python 3, opencv-python-headless 4.14.0: fixtures/grabcut.py made the masks.
const { sets } = JSON.parse(readFileSync(new URL('./fixtures/grabcut.json', import.meta.url), 'utf8')) as {
  sets: Made[];
};

describe('openGrabCut', () => {
  it.each(sets.map((set) => [set.image.join('×'), set.size, set.iterations, set] as const))(
    'cuts an image of %s px at %i px in %i rounds as OpenCV in Python does',
    async (_, __, ___, { image, cases, ...set }) => {
      const frame = { width: set.frame[0], height: set.frame[1] };
      const segmenter = await openGrabCut({ size: set.size, iterations: set.iterations, radius: set.radius });
      const got = await Promise.all(
        cases.map(({ kind, objects }) =>
          segmenter.segment({ image: drawn(kind, ...image), prompts: [asked(objects, frame)], frame }),
        ),
      );
      await segmenter.release();
      expect(got.flat()).toEqual(cases.map(({ counts }) => ({ ...frame, counts })));
    },
  );
  it('names what changes a mask', async () => {
    const segmenter = await openGrabCut({ size: 48, threads: 2 });
    await segmenter.release();
    expect(segmenter.name).toBe('grabcut/48/1/0.02');
  });
  it('refuses options it does not know', () => {
    expect(() => GrabCutOptions.parse({ side: 64 })).toThrow('side');
  });
  it('is empty for points without a box and without a foreground point', async () => {
    const frame = { width: 112, height: 112 };
    const segmenter = await openGrabCut();
    const masks = await segmenter.segment({
      image: drawn('disc', 112, 112),
      prompts: [{ frame, objects: [{ points: [{ x: 40, y: 60, label: 0 }] }] }],
      frame,
    });
    await segmenter.release();
    expect(masks).toEqual([{ ...frame, counts: [112 * 112] }]);
  });
  it('rejects with a ModelError what OpenCV cannot take, and goes on', async () => {
    const frame = { width: 112, height: 112 };
    const prompt: Prompt = { frame, objects: [{ box: [20, 30, 80, 90], points: [] }] };
    const segmenter = await openGrabCut();
    await expect(
      segmenter.segment({ image: { width: 0, height: 0, data: new Uint8Array() }, prompts: [prompt], frame }),
    ).rejects.toThrow(ModelError);
    expect(await segmenter.segment({ image: drawn('disc', 112, 112), prompts: [prompt], frame })).toHaveLength(1);
    await segmenter.release();
  });
});

function asked(objects: Made['cases'][number]['objects'], frame: Prompt['frame']): Prompt {
  return {
    frame,
    objects: objects.map(([box, points]) => ({ box, points: points.map(([x, y, label]) => ({ x, y, label })) })),
  };
}
