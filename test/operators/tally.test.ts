import { concat, from, lastValueFrom, NEVER, of, throwError, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import { encodeMask } from '../../src/io/mask.js';
import type { ReadImage, Segmenter } from '../../src/models/segmenter.js';
import type { Constant } from '../../src/operators/scoring/constants.js';
import type { Panel } from '../../src/operators/scoring/gallery.js';
import { tally, type Tally, type TallyMemory, type TallyOptions } from '../../src/operators/tally.js';
import type { Box, Mask, Prompt, Scored } from '../../src/records.js';
import { later, until } from '../waiting.js';

const frame = { width: 16, height: 16 };
const weights = { format: 1, iou: 0.5, structure: 0 };

function filled([x1, y1, x2, y2]: Box): Mask {
  return encodeMask(
    Uint8Array.from({ length: 256 }, (_, i) => (i % 16 >= x1 && i % 16 <= x2 && i >> 4 >= y1 && i >> 4 <= y2 ? 1 : 0)),
    frame,
  );
}

const boxed = (box: Box): Prompt => ({ frame, objects: [{ box, points: [] }] });

/** A row that was answered with a box; the segmenter of these tests gives the box as it is. */
function row(id: string, truth: Box, answer: Box | null, total: number): Scored {
  const completion = { text: '', tokens: [1, 2], logProbs: [0, 0], finish: 'stop' as const };
  const sample = { id, image: { path: `${id}.png` }, task: '', frame, original: frame, truth: filled(truth) };
  const answers = {
    prompt: '',
    promptTokens: [],
    completions: [completion],
    policyVersion: 0,
    prompts: [answer && boxed(answer)],
    formats: [answer ? 1 : 0],
    masks: [answer && filled(answer)],
  };
  return { ...sample, ...answers, rewards: { total: [total], byName: { format: [1] } } };
}

const marked = {
  id: 'm',
  image: { path: 'm.png' },
  task: '',
  frame,
  original: frame,
  skipped: { stage: 'load', reason: 'cut off' },
} as unknown as Scored;

function watched(options: TallyOptions, wait: (asked: number) => Promise<void> = async () => {}, memory?: TallyMemory) {
  const told = {
    rows: [] as [string, Readonly<Record<string, number>>][],
    constants: [] as (readonly Constant[])[],
    tallies: [] as Tally[],
    panels: [] as (readonly Panel[])[],
  };
  const looked: string[] = [];
  const segmenter: Segmenter = {
    name: 'boxes',
    segment: async ({ prompts }) => {
      await wait(prompts.length);
      return prompts.map(({ objects }) => filled(objects[0]?.box as Box));
    },
    release: async () => {},
  };
  const read: ReadImage = async (source, size = frame) => {
    const path = 'path' in source ? source.path : '';
    looked.push(path);
    if (path === 'broken.png') throw new DataError('broken.png  image: expected a picture; got 0 bytes');
    return { ...size, data: new Uint8Array(size.width * size.height * 3) };
  };
  const reader = {
    row: (id: string, values: Readonly<Record<string, number>>) => void told.rows.push([id, values]),
    constants: (constants: readonly Constant[]) => void told.constants.push(constants),
    done: (counted: Tally) => void told.tallies.push(counted),
    overlays: async (panels: readonly Panel[]) => void told.panels.push(panels),
  };
  return {
    told,
    looked,
    stage: tally<Scored>({ segmenter, readImage: read, rewards: { weights }, reader, memory }, options),
  };
}

const left: Box = [0, 0, 3, 15];
const right: Box = [12, 0, 15, 15];
const quiet = { constantBaseline: 0 };

describe('tally', () => {
  it('passes the very same rows on, in order, and tells once they have come', async () => {
    const { stage, told } = watched({ constantBaseline: 2, shuffledImageBaseline: true }, (asked) =>
      later(asked > 1 ? 9 : 0),
    );
    const rows = [row('a', left, left, 1.5), marked, row('b', right, left, 1), row('c', left, null, 0)];
    const got = await lastValueFrom(from(rows).pipe(stage, toArray()));
    expect(got.every((one, i) => one === rows[i])).toBe(true);
    expect(told.tallies).toHaveLength(1);
    expect(told.rows.map(([id]) => id)).toEqual(['a', 'b', 'c']);
  });

  it('counts a row once, with the mean of its group, and marked rows by stage', async () => {
    const { stage, told } = watched(quiet);
    const two = row('a', left, left, 0);
    await lastValueFrom(
      from([{ ...two, rewards: { total: [1, 2], byName: {} } }, marked, row('b', left, left, 0.5)]).pipe(stage),
    );
    const [counted] = told.tallies;
    // Means 1.5 and 0.5: their standard deviation is sqrt(1/2), and over sqrt(2) that is 1/2.
    expect(counted?.metrics['reward']).toMatchObject({ mean: 1, n: 2 });
    expect(counted?.metrics['reward']?.error).toBeCloseTo(0.5, 12);
    expect(counted?.metrics['answer/hit']).toBeUndefined();
    expect(counted).toMatchObject({ rows: 2, marked: { load: 1 }, constants: [] });
  });

  it('passes a row on whose reward is not finite, and counts it nowhere', async () => {
    const { stage, told } = watched({ ...quiet, overlays: 1 });
    const broken = (id: string, total: number): Scored => ({
      ...row(id, left, left, total),
      rewards: { total: [total], byName: {}, notFinite: `own gave ${total} for completion 0` },
    });
    const rows = [broken('a', Infinity), row('b', left, left, 0.5), broken('c', NaN)];
    expect(await lastValueFrom(from(rows).pipe(stage, toArray()))).toEqual(rows);
    expect(told.tallies[0]).toMatchObject({ rows: 1, marked: { reward: 2 }, metrics: { reward: { mean: 0.5, n: 1 } } });
    expect([told.rows.map(([id]) => id), told.panels.flat().map(({ id }) => id)]).toEqual([['b'], ['b', 'b', 'b']]);
  });

  it('tries fixed answers on the first rows, with the weights of the reward', async () => {
    const { stage, told, looked } = watched({ constantBaseline: 2 });
    const whole: Box = [1, 1, 14, 14];
    await lastValueFrom(from([row('a', whole, null, 0), row('b', left, null, 0), row('c', left, null, 0)]).pipe(stage));
    expect(looked).toEqual(['a.png', 'b.png']);
    expect(told.constants).toHaveLength(1);
    const [first] = told.tallies[0]?.constants ?? [];
    expect(first?.box).toEqual(whole);
    // format 1; IoU 1 with the first truth, and 14 × 3 shared of 64 + 196 - 42 with the second.
    expect(first?.reward).toMatchObject({ mean: expect.closeTo(1 + (0.5 * (1 + 42 / 218)) / 2, 12), n: 2 });
  });

  it('tells of fixed answers that fewer rows than asked for were tried on, at the end', async () => {
    const { stage, told } = watched({ constantBaseline: 9 });
    await lastValueFrom(from([row('a', left, null, 0)]).pipe(stage));
    expect(told.constants).toEqual([]);
    expect(told.tallies[0]?.constants[0]?.reward).toMatchObject({ n: 1, error: NaN });
  });

  it('judges answers on the row before', async () => {
    const { stage, told } = watched({ ...quiet, shuffledImageBaseline: true });
    await lastValueFrom(
      from([
        row('a', left, left, 1.5),
        row('b', right, left, 1),
        row('c', left, right, 1),
        row('d', left, null, 0),
      ]).pipe(stage),
    );
    expect(told.rows.map(([, values]) => values['baseline/another_scene'])).toEqual([NaN, 1.5, 1.5, 0]);
    expect(told.tallies[0]?.metrics['baseline/another_scene']).toMatchObject({ mean: 1, n: 3 });
  });

  it('draws the rows it is asked to', async () => {
    const { stage, told } = watched({ ...quiet, overlays: 1 });
    await lastValueFrom(
      from([row('a', left, left, 1.5), row('b', right, left, 1), row('c', left, null, 0)]).pipe(stage),
    );
    expect(told.panels[0]?.slice(0, 2).map(({ name, id, worth }) => [name, id, worth])).toEqual([
      ['best-1', 'a', 1.5],
      ['worst-1', 'c', 0],
    ]);
  });

  it('marks a row whose image cannot be read', async () => {
    const { stage, told } = watched({ constantBaseline: 1 });
    const got = await lastValueFrom(from([row('broken', left, left, 1)]).pipe(stage));
    expect(got.skipped).toEqual({ stage: 'tally', reason: 'broken.png  image: expected a picture; got 0 bytes' });
    expect(told.tallies[0]).toMatchObject({ rows: 0, marked: { tally: 1 } });
  });

  it('tells nothing of a stream that failed or was left', async () => {
    const { stage, told } = watched(quiet);
    const rows = of(row('a', left, left, 1));
    await expect(
      lastValueFrom(
        concat(
          rows,
          throwError(() => new Error('no luck')),
        ).pipe(stage),
      ),
    ).rejects.toThrow('no luck');
    concat(rows, NEVER).pipe(stage).subscribe().unsubscribe();
    expect(told.tallies).toEqual([]);
  });

  it('begins anew with each subscriber', async () => {
    const { stage, told } = watched(quiet);
    const rows = from([row('a', left, left, 1)]).pipe(stage);
    await lastValueFrom(rows);
    await lastValueFrom(rows);
    expect(told.tallies[1]).toEqual(told.tallies[0]);
  });
});

describe('a tally that is broken off', () => {
  const options: TallyOptions = { constantBaseline: 3, shuffledImageBaseline: true, overlays: 1 };
  const rows = Array.from({ length: 9 }, (_, i) =>
    i % 4 === 3
      ? { ...marked, id: `${i}` }
      : row(`${i}`, i % 2 ? left : right, i % 3 ? left : null, [0.3, 1.7, 0.9][i % 3] ?? 0),
  );

  /** Panels with their pixels as one text, which is compared in a moment. */
  const pictures = (panels: readonly (readonly Panel[])[]) =>
    panels.flat().map(({ image: { data, ...size }, ...panel }) => [panel, size, Buffer.from(data).toString('base64')]);

  /** What it kept, as a file has it, when the `pending` rows were in flight. */
  async function kept(before: readonly Scored[], pending: readonly string[]): Promise<unknown> {
    let keep: (pending: ReadonlySet<string>) => unknown = () => undefined;
    const { stage } = watched(options, undefined, { remember: (how) => void (keep = how), window: 4 });
    let passed = 0;
    const held = concat(from(before), NEVER)
      .pipe(stage)
      .subscribe(() => passed++);
    await until(() => passed === before.length);
    const state: unknown = JSON.parse(JSON.stringify(keep(new Set(pending))));
    held.unsubscribe();
    return state;
  }

  it.each([
    ['before its constants are known', 2, []],
    ['behind them', 6, []],
    ['with rows on their way, which are pending', 6, ['4', '5']],
    ['with marked ones among them', 5, ['3', '4']],
  ])('comes to the same %s', async (_, at, pending) => {
    const whole = watched(options);
    await lastValueFrom(from(rows).pipe(whole.stage, toArray()));
    const state = await kept(rows.slice(0, at), pending);
    const rest = watched(options, undefined, { remember: () => state, window: 4 });
    await lastValueFrom(from(rows.filter(({ id }, i) => i >= at || pending.includes(id))).pipe(rest.stage, toArray()));
    const [was, is] = [whole.told.tallies[0], rest.told.tallies[0]];
    expect(is).toEqual(was);
    if (pending.length === 0) expect(pictures(rest.told.panels)).toEqual(pictures(whole.told.panels));
    expect(rest.told.constants).toEqual(whole.told.constants);
  });
});
