import { of, lastValueFrom, tap, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import type { Row } from '../../../src/records.js';
import { compile } from '../../../src/pipelines/run/compile.js';
import { credits } from '../../../src/streams/credits.js';
import { stageMetrics, meteredCredits, meteredSource } from '../../../src/pipelines/run/stage-metrics.js';
import { openResources } from '../../../src/pipelines/run/resources.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import { Settings } from '../../../src/pipelines/settings.js';
import { stage, pipelineContext } from '../../../src/pipelines/stage.js';
import { RunFolder } from '../../../src/pipelines/store/run-folder.js';
import { stubPipeline } from '../files.js';

function openWith(signal: AbortSignal, window = 4): ReturnType<typeof openResources> {
  const settings = Settings.parse({ window });
  const given: Parameters<typeof openResources>[0] = {
    ...pipelineContext(settings, []),
    config: '{}',
    folder: new RunFolder(''),
    signal,
    credits: credits(window),
    read: () => Promise.reject(new Error('no images here')),
    emit: () => {},
    keepState: () => undefined,
    beforeCheckpoint: () => {},
  };
  return openResources(given, { take: async () => {} });
}

describe('compile', () => {
  it('pipes the stages in order and measures each', async () => {
    const pipeline = await readPipeline(stubPipeline('[{ rows: { count: 4 } }, guess, doubt, doubt]'));
    const entered: string[] = [];
    const { rows, metrics } = await compile(pipeline, openWith(new AbortController().signal, 5), ({ id }) =>
      entered.push(id),
    );
    const out = await lastValueFrom(rows.pipe(toArray()));
    expect(out.map(({ id }) => id)).toEqual(entered);
    expect(out.every(({ completions }) => completions?.length === 2)).toBe(true);
    expect(metrics.map(({ stage: name, rowsIn, rowsOut }) => [name, rowsIn, rowsOut])).toEqual([
      ['rows', 4, 4],
      ['guess', 4, 4],
      ['doubt', 4, 4],
      ['doubt 2', 4, 4],
    ]);
  });

  it('ends the source at the signal, though it waits for a credit', async () => {
    const stop = new AbortController();
    const pipeline = await readPipeline(stubPipeline('[{ rows: { count: 9 } }, guess]'));
    const { rows } = await compile(pipeline, openWith(stop.signal, 3));
    let seen = 0;
    // The third row takes the last credit; the source asks for a fourth before the loop's next turn.
    const third = tap(() => ++seen === 3 && setImmediate(() => stop.abort()));
    expect(await lastValueFrom(rows.pipe(third, toArray()))).toHaveLength(3);
  });

  it('gives nothing where the signal came first', async () => {
    const pipeline = await readPipeline(stubPipeline('[rows, guess]'));
    const { rows } = await compile(pipeline, openWith(AbortSignal.abort()));
    expect(await lastValueFrom(rows.pipe(toArray()))).toEqual([]);
  });

  it('refuses what a stage must not build', async () => {
    const pipeline = await readPipeline(stubPipeline('[rows]'));
    const odd = stage({ name: 'odd', options: z.strictObject({}), build: () => of() });
    const open = openWith(new AbortController().signal);
    await expect(
      compile({ ...pipeline, stages: [...pipeline.stages, { name: 'odd', stage: odd, options: {} }] }, open),
    ).rejects.toThrow('odd: expected an operator from build; got a stream');
    const unsourced = stage({ name: 'odd', kind: 'source', options: z.strictObject({}), build: () => (rows) => rows });
    await expect(
      compile({ ...pipeline, stages: [{ name: 'odd', stage: unsourced, options: {} }] }, open),
    ).rejects.toThrow('odd: expected a stream of rows from build; got a function');
  });
});

describe('opening', () => {
  it('makes a thing once for all who ask and releases in reverse order, once', async () => {
    const open = openWith(new AbortController().signal);
    const events: string[] = [];
    const ask = (name: string): Promise<number> =>
      open.shared(
        name,
        () => events.push(`open ${name}`),
        () => void events.push(`release ${name}`),
      );
    await Promise.all([ask('a'), ask('b'), ask('a')]);
    await open.release();
    await open.release();
    expect(events).toEqual(['open a', 'open b', 'release b', 'release a']);
  });

  it('releases the others where one fails, and tells of the failure', async () => {
    const open = openWith(new AbortController().signal);
    const events: string[] = [];
    await open.shared(
      'a',
      () => 1,
      () => void events.push('release a'),
    );
    await open.shared(
      'b',
      () => 2,
      () => Promise.reject(new Error('stuck')),
    );
    await expect(
      open.shared(
        'c',
        () => Promise.reject(new Error('no such model')),
        () => {},
      ),
    ).rejects.toThrow('no such model');
    await expect(open.release()).rejects.toThrow('stuck');
    expect(events).toEqual(['release a']);
  });
});

describe('gauge', () => {
  it('counts the seconds in which rows are inside', () => {
    let now = 0;
    const meter = stageMetrics('mask', () => now);
    const at = (time: number, act: () => void): void => {
      now = time;
      act();
    };
    at(1000, () => meter.enter());
    at(1500, () => meter.enter());
    at(2000, () => meter.leave());
    at(3000, () => meter.leave());
    at(9000, () => meter.enter());
    at(9500, () => expect(meter.busy()).toBe(2.5));
    expect([meter.rowsIn, meter.rowsOut]).toEqual([3, 2]);
  });

  it('times a source from the credit to the row', async () => {
    let now = 0;
    const meter = stageMetrics('load', () => now);
    const window = meteredCredits(credits(2), meter);
    await window.take();
    now = 500;
    await lastValueFrom(meteredSource(of({} as Row), meter));
    await window.take();
    now = 750;
    window.give('(no row)');
    expect([meter.rowsIn, meter.rowsOut, meter.busy(), window.inFlight]).toEqual([1, 1, 0.75, 1]);
  });

  it('times how long a full window holds a source back, until it may go on or is not to', async () => {
    let now = 0;
    const meter = stageMetrics('load', () => now);
    const window = meteredCredits(credits(1), meter);
    await window.take();
    now = 1000;
    expect(meter.blocked()).toBe(0);
    const next = window.take();
    now = 3000;
    expect(meter.blocked()).toBe(2);
    window.give('a');
    await next;
    const end = new AbortController();
    const never = window.take(end.signal);
    now = 3500;
    end.abort(new Error('ended'));
    await expect(never).rejects.toThrow('ended');
    now = 9000;
    expect(meter.blocked()).toBe(2.5);
  });
});
