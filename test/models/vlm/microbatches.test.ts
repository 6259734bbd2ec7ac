import { describe, expect, it } from 'vitest';

import { asking, loss, lessons, prompts, settings } from './lessons.js';
import { open, unversioned } from './opened.js';
import { onCpu, without } from '../../tensor/onnx/native/libraries.js';
import { OutOfMemoryError } from '../../../src/errors.js';
import { inRuns, runsOf, type Cut, type Size } from '../../../src/models/vlm/microbatches.js';

const cut = (left: readonly number[], { batch }: Size): Cut[] =>
  Array.from({ length: Math.ceil(left.length / batch) }, (_, i) => ({
    indices: left.slice(i * batch, (i + 1) * batch),
    room: batch,
  }));

/**
 * Runs of rows on something that has room for `room` at once.
 *
 * @returns the runs in the order taken, and what was told.
 */
async function worked(count: number, batch: number, room: number, most = 1) {
  const told: Size[] = [];
  const runs = runsOf({ batch }, (smaller) => told.push(smaller));
  const taken: (readonly number[])[] = [];
  const work = async ({ indices, room: asked }: Cut): Promise<readonly number[]> => {
    if (asked > room) throw new OutOfMemoryError(`no room for ${asked}`, asked);
    return indices;
  };
  const all = (): Promise<void> =>
    inRuns(count, runs, {
      cut,
      most,
      work,
      take: (indices) => taken.push(indices),
      alone: (_, error) => new Error(`alone: ${error.message}`),
    });
  await all();
  return { taken, told, again: async () => (await all(), told.length) };
}

describe('inRuns', () => {
  it.each([1, 3, Infinity])(
    'takes every row once, in order, in runs that there is room for, %s at once',
    async (most) => {
      const { taken, told } = await worked(11, 8, 3, most);
      expect(taken).toEqual([[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10]]);
      expect(told).toEqual([{ batch: 4 }, { batch: 2 }]);
    },
  );
  it('stays with what there was room for', async () => {
    const { told, again } = await worked(5, 4, 2);
    expect(told).toHaveLength(1);
    expect(await again()).toBe(1);
  });
  it('says what is wrong with a row that there is no room for by itself', async () => {
    await expect(worked(2, 4, 0)).rejects.toThrow('alone: no room for 1');
  });
  it('has every run, or none, halved by its tokens as well', () => {
    const runs = runsOf({ batch: 16, tokens: 9000 }, () => {});
    runs.halve(3);
    expect(runs.size).toEqual({ batch: 1, tokens: 4500 });
  });
  it('throws what is no matter of memory', async () => {
    const runs = runsOf({ batch: 4 }, () => {});
    const fault = new Error('other');
    await expect(
      inRuns(3, runs, { cut, most: 1, work: () => Promise.reject(fault), take() {}, alone: () => fault }),
    ).rejects.toBe(fault);
  });
});

describe.skipIf(without !== '')(`a policy without room for its batch${without}`, () => {
  /** Rows of one shape, so that all of them go into one run. */
  const rowsOf = (policy: Awaited<ReturnType<typeof open>>, count: number) => {
    const [one, , , , five] = prompts(policy);
    return Array.from({ length: count }, (_, i) => (i % 2 === 0 ? one : five));
  };
  const limited = (memory: number, notice: (text: string) => void, batch = 8) =>
    open({ batch, notice, device: { kind: 'cpu', libraries: onCpu, memory } });

  it('writes, scores and learns the same in smaller runs, and says so once', async () => {
    const told: string[] = [];
    const [plain, small] = [await open({ batch: 1 }), await limited(12e6, (text) => told.push(text))];
    const asked = rowsOf(plain, 6);
    const rows = lessons(plain, 2, asked);
    const how = { group: 2, temperature: 1, maxTokens: 4 };
    const work = async (policy: typeof plain) =>
      [
        unversioned(await policy.generate(asking(asked, how, 'u'))),
        await policy.scores({ rows, temperature: 1 }),
        await policy.gradient({ loss, rows, temperature: 1 }),
      ] as const;
    const [[written, scores, learned], [expectedWritten, expectedScores, expected]] = [
      await work(small),
      await work(plain),
    ];
    expect(written.map((group) => group.map(({ tokens }) => tokens))).toEqual(
      expectedWritten.map((group) => group.map(({ tokens }) => tokens)),
    );
    for (const [i, score] of scores.flat(2).entries()) expect(score).toBeCloseTo(expectedScores.flat(2)[i], 4);
    for (const [name, value] of Object.entries(expected.metrics))
      expect(learned.metrics[name], name).toBeCloseTo(value, 4);
    // What was summed up before memory ran out is not counted twice.
    expect(await small.step(learned.gradient, settings)).toBeCloseTo(await plain.step(expected.gradient, settings), 4);
    const halves = [4, 2].map(
      (n) =>
        `${small.name}  update: memory ran out; from here on runs have at most ${n} prompts, which changes no result`,
    );
    expect(told.length).toBeGreaterThan(0);
    expect(told).toEqual(halves.slice(0, told.length));
    const before = told.length;
    await small.gradient({ loss, rows, temperature: 1 });
    expect(told).toHaveLength(before);
  });
  it('says what would fit where there is no room for one prompt', async () => {
    const policy = await limited(2.2e6, () => {}, 1);
    const failed = policy.gradient({ loss, rows: lessons(policy, 2, rowsOf(policy, 1)), temperature: 1 });
    await expect(failed).rejects.toBeInstanceOf(OutOfMemoryError);
    await expect(failed).rejects.toThrow(
      /update: expected memory for one prompt of \d+ tokens, an image of 4×4 patches among them, with 2 completions of 16; got no room for \d+ bytes of it; way out: a smaller frame, a smaller group, a smaller maxTokens, gradientCheckpointing: true, optimizer: host, train: { lora: … }$/,
    );
  });
});
