import { describe, expect, it } from 'vitest';

import { gallery, panelOf, type Exhibit } from '../../../src/operators/scoring/gallery.js';
import { uniform } from '../../../src/random.js';
import type { Scored } from '../../../src/records.js';

const frame = { width: 4, height: 2 };

function scored(id: number, reward: number): Scored {
  const sample = { id: `r${id}`, image: { path: `${id}.png` }, task: '', frame, original: frame };
  const answers = {
    prompt: '',
    promptTokens: [],
    completions: [],
    policyVersion: 0,
    prompts: [null, null],
    formats: [0, 0],
    masks: [null, null],
  };
  return { ...sample, ...answers, rewards: { total: [reward, reward], byName: {} } };
}

/** Names and ids of what is kept of rows with those rewards. */
function kept(each: number, rewards: readonly number[]): Record<string, string> {
  const some = gallery(each);
  for (const [i, reward] of rewards.entries()) some.add(scored(i, reward), reward);
  return Object.fromEntries(some.chosen().map(({ name, exhibit }) => [name, exhibit.id]));
}

describe('gallery', () => {
  it('keeps the best, the worst, and rows at random', () => {
    const rewards = [5, 1, 9, 3, 7, 0, 8, 2];
    expect(kept(2, rewards)).toMatchObject({ 'best-1': 'r2', 'best-2': 'r6', 'worst-1': 'r5', 'worst-2': 'r1' });
    const drawn = rewards.map((_, i) => `r${i}`).toSorted((a, b) => uniform('gallery', a) - uniform('gallery', b));
    expect(kept(2, rewards)).toMatchObject({ 'random-1': drawn[0], 'random-2': drawn[1] });
  });
  it('prefers the first among equals', () => {
    expect(kept(1, [1, 1, 1])).toMatchObject({ 'best-1': 'r0', 'worst-1': 'r0' });
  });
  it('keeps all where there are few, and none where none is asked for or can be scored', () => {
    expect(Object.keys(kept(3, [1]))).toEqual(['best-1', 'worst-1', 'random-1']);
    expect(kept(0, [1, 2])).toEqual({});
    expect(kept(2, [NaN])).toEqual({});
  });
  it('draws the same rows at random in whatever order they come', () => {
    const rows = Array.from({ length: 50 }, (_, i) => scored(i, 0));
    const [forth, back] = [gallery(4), gallery(4)];
    for (const row of rows) forth.add(row, 0);
    for (const row of rows.toReversed()) back.add(row, 0);
    const random = (some: typeof forth): string[] =>
      some.chosen().flatMap(({ name, exhibit }) => (name.startsWith('random') ? [exhibit.id] : []));
    expect(random(forth)).toEqual(random(back));
  });
});

describe('an exhibit of a group', () => {
  const prompts = [0, 1, 2].map((x) => ({ frame, objects: [{ points: [{ x, y: 0, label: 1 as const }] }] }));
  const masks = [2, 4, 8].map((ones) => ({ ...frame, counts: [0, ones, 8 - ones] }));
  const group: Scored = {
    ...scored(0, 0),
    truth: masks[1],
    policyVersion: 7,
    prompts: [...prompts, null],
    masks: [...masks, null],
    completions: ['first', 'best', 'third', 'worst'].map((text) => ({
      text,
      tokens: [],
      logProbs: [],
      finish: 'stop' as const,
    })),
    rewards: { total: [0.5, 2, NaN, 0], byName: { iou: [0.5, 1, NaN, 0] } },
  };
  const exhibited = (row: Parameters<ReturnType<typeof gallery>['add']>[0]) => {
    const some = gallery(1);
    some.add(row, 0.8);
    return some.chosen()[0].exhibit;
  };

  it('has the best answer and the worst, each with its text, reward and IoU, and the step', () => {
    expect(exhibited(group)).toMatchObject({
      worth: 0.8,
      step: 7,
      prompt: prompts[1],
      mask: masks[1],
      worst: { prompt: null, mask: null },
      answers: [
        { text: 'best', reward: 2, iou: 1 },
        { text: 'worst', reward: 0, iou: 0 },
      ],
    });
  });

  it('has one answer where all earned the same, and the first without rewards', () => {
    const even = exhibited({ ...group, rewards: { total: [1, 1, 1, 1], byName: {} } });
    expect([even.answers, even.worst]).toEqual([[{ text: 'first', reward: 1, iou: 0.5 }], undefined]);
    const { rewards: _, ...without } = group;
    expect(exhibited(without).answers).toEqual([{ text: 'first', iou: 0.5 }]);
  });

  it('is drawn with both side by side', async () => {
    const read = async () => ({ ...frame, data: new Uint8Array(24) });
    const { image, answers, step } = await panelOf(read, 'best-1', exhibited(group));
    expect(image.width).toBe(4 * 336 + 3 * 4);
    expect([answers?.map(({ text }) => text), step]).toEqual([['best', 'worst'], 7]);
  });
});

describe('panelOf', () => {
  const exhibit: Exhibit = {
    id: 'r',
    image: { path: 'r.png' },
    frame,
    task: '',
    original: frame,
    truth: { ...frame, counts: [0, 2, 6] },
    prompt: { frame, objects: [{ points: [{ x: 3, y: 1, label: 1 }] }] },
    mask: { ...frame, counts: [0, 8] },
    worth: 0.5,
  };
  it('shows image, answer and truth side by side, small frames magnified', async () => {
    const { name, id, worth, image } = await panelOf(
      async (_, size = frame) => ({ ...size, data: new Uint8Array(size.width * size.height * 3).fill(50) }),
      'best-1',
      exhibit,
    );
    expect([name, id, worth]).toEqual(['best-1', 'r', 0.5]);
    expect([image.width, image.height]).toEqual([3 * 336 + 2 * 4, 168]);
    const at = (x: number, y: number): number[] => [
      ...image.data.subarray((y * image.width + x) * 3, (y * image.width + x) * 3 + 3),
    ];
    expect(at(100, 100)).toEqual([50, 50, 50]);
    expect(at(340 + 100, 50)).not.toEqual([50, 50, 50]);
    expect(at(680 + 0, 0)).toEqual([255, 215, 0]);
    expect(at(680 + 200, 100)).toEqual([50, 50, 50]);
  });
});
