import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { DataError } from '../../../src/errors.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import type { RunEvent, Summary } from '../../../src/pipelines/events.js';
import { run, type RunOptions } from '../../../src/pipelines/run/run.js';
import { folder, refusal, stubPipeline } from '../files.js';

/** Runs stub stages; whatever comes of it, what was told. */
async function ran(
  stages: string,
  settings = '',
  options: RunOptions = {},
): Promise<{ root: string; told: RunEvent[]; summary: Summary; error?: unknown }> {
  const pipeline = await readPipeline(stubPipeline(stages, settings));
  const root = join(folder().path, 'run');
  const told: RunEvent[] = [];
  const error: unknown = await run(pipeline, {
    folder: root,
    ...options,
    watch: (report) => (told.push(report), options.watch?.(report)),
  }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  const end = told.find((report) => report.kind === 'end');
  if (!end) throw error;
  return { root, told, summary: end.summary, error };
}

describe('run', () => {
  it('lets every row that entered out, and writes down what it was', async () => {
    const { root, summary, told } = await ran(
      '[{ rows: { count: 10 } }, guess, { teach: { groupsPerStep: 4 } }, write]',
      'window: 4',
    );
    expect(summary).toMatchObject({ name: 'stub', rowsIn: 10, rowsOut: 10, steps: 3, tokens: 60, marked: {} });
    expect(Object.keys(summary.seconds)).toEqual(['rows', 'guess', 'teach', 'write']);
    expect(readdirSync(root).toSorted()).toEqual(['checkpoints', 'config.yaml', 'inputs.json', 'metrics', 'rows']);
    expect(readdirSync(join(root, 'rows'))).toContain('manifest.json');
    expect(told[0]).toMatchObject({ kind: 'start', rows: 10, stages: ['rows', 'guess', 'teach', 'write'] });
    expect((await readPipeline(join(root, 'config.yaml'))).name).toBe('stub');
  });

  it('says before the start what is worth a word', async () => {
    const { told } = await ran('[{ rows: { count: 2 } }, { doubt: { onPurpose: true } }]');
    expect(told.slice(0, 2)).toEqual([
      { kind: 'notice', text: 'doubt  doubts one of 3 rows' },
      expect.objectContaining({ kind: 'start' }),
    ]);
    expect((await ran('[{ rows: { count: 2 } }]')).told.filter(({ kind }) => kind === 'notice')).toEqual([]);
  });

  it('writes one line of metrics a step', async () => {
    const { root } = await ran('[{ rows: { count: 8 } }, guess, { teach: { groupsPerStep: 4 } }]', 'window: 4');
    const lines = readFileSync(join(root, 'metrics', 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { step: 1, metrics: { reward: 0.1, 'rewards/iou/mean': 0.5 }, queue: { rows: 0, guess: 0, teach: 4 } },
      { step: 2, metrics: { reward: 0.2 } },
    ]);
    const numbers = expect.any(Number) as number;
    expect(JSON.parse(lines[0])).toMatchObject({
      speed: { step_time: numbers },
      seconds: { rows: numbers, guess: numbers, teach: numbers },
      blocked: { rows: numbers },
    });
  });

  it('never has more rows between source and sink than the window', async () => {
    let most = 0;
    const watch = (report: RunEvent): void => {
      if (report.kind === 'row') most = Math.max(most, report.rowsIn - report.rowsOut + 1);
    };
    const { summary } = await ran(
      '[{ rows: { count: 2000 } }, { guess: { delay: 0.5, inflight: 3 } }, { teach: { groupsPerStep: 5 } }]',
      'window: 7',
      { watch },
    );
    expect(summary).toMatchObject({ rowsIn: 2000, rowsOut: 2000, steps: 400 });
    expect(most).toBeLessThanOrEqual(7);
  });

  // With work that grows with the rows before, this would not end within the test's limit.
  it('takes 100,000 rows without growing slow', async () => {
    const { summary } = await ran(
      '[{ rows: { count: 100000 } }, guess, { doubt: { every: 1000, onPurpose: true } }]',
      'window: 64',
    );
    expect(summary).toMatchObject({ rowsOut: 100_000, marked: { doubt: { 'on purpose': 100 } } });
  });

  it('stops the source after so many steps, and lets the rest out', async () => {
    const { summary, error } = await ran(
      '[{ rows: { count: 100 } }, guess, { teach: { groupsPerStep: 4 } }]',
      'window: 4',
      { maxSteps: 3 },
    );
    expect(summary).toMatchObject({ rowsIn: 12, rowsOut: 12, steps: 3, stopped: 'steps' });
    expect(error).toBeUndefined();
  });

  it('stops the source when cancelled, and lets the rest out', async () => {
    const cancel = new AbortController();
    const watch = (report: RunEvent): void => void (report.kind === 'row' && report.rowsOut === 6 && cancel.abort());
    const { summary, error } = await ran(
      '[{ rows: { count: 5000 } }, { guess: { delay: 1 } }, { teach: { groupsPerStep: 3 } }]',
      'window: 8',
      { signal: cancel.signal, watch },
    );
    expect(summary.stopped).toBe('cancelled');
    expect(summary.rowsIn).toBe(summary.rowsOut);
    expect(summary.rowsIn).toBeLessThan(30);
    expect(error).toBeUndefined();
  });

  it('does nothing when cancelled before it began', async () => {
    const { summary } = await ran('[rows, guess]', '', { signal: AbortSignal.abort() });
    expect(summary).toMatchObject({ rowsIn: 0, rowsOut: 0, stopped: 'cancelled' });
  });

  it('fails where a stage loses rows, and names it', async () => {
    const { error, summary } = await ran('[{ rows: { count: 8 } }, guess, { drop: { every: 4 } }]', 'window: 8');
    expect((error as Error).message).toBe(
      'rows: expected 8 out as went in; got 6; drop took 8 and gave 6 (e0/0/stub, e0/4/stub)',
    );
    expect(summary.fault).toBe((error as Error).message);
  });

  it('fails with what a stage throws, after releasing all that was opened', async () => {
    const events = globalThis as { borrowed?: string[] };
    events.borrowed = [];
    const { error, summary } = await ran(
      '[rows, { borrow: { thing: a } }, { borrow: { thing: b } }, { fail: { at: 5 } }]',
    );
    expect((error as Error).message).toBe('e0/5/stub  fail: expected luck; got none');
    expect(summary.rowsOut).toBe(5);
    expect(events.borrowed).toEqual(['open a', 'open b', 'release b', 'release a']);
  });

  it('stops once more rows than are tolerated cannot be used, and names the row', async () => {
    const { error, summary } = await ran(
      '[{ rows: { count: 500 } }, { doubt: { every: 3 } }]',
      'window: 2\ntolerate: 2',
    );
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message).toBe(
      'e0/6/stub  6.png  doubt: expected at most 2 rows that cannot be used; got one more (unreadable); way out: tolerate: 3',
    );
    expect(summary).toMatchObject({ stopped: 'faults' });
    expect(summary.rowsIn).toBe(summary.rowsOut);
    expect(summary.rowsOut).toBeLessThan(12);
  });

  it('goes on with rows that were left out on purpose', async () => {
    const { error, summary } = await ran('[{ rows: { count: 9 } }, { doubt: { onPurpose: true } }]');
    expect(error).toBeUndefined();
    expect(summary.marked).toEqual({ doubt: { 'on purpose': 3 } });
  });

  it('refuses a folder with files in it', async () => {
    const { path } = folder();
    mkdirSync(join(path, 'used'));
    writeFileSync(join(path, 'used', 'x'), '');
    const pipeline = await readPipeline(stubPipeline('[rows]'));
    expect(await refusal(run(pipeline, { folder: join(path, 'used') }))).toBe(
      'used  run: expected a new or empty folder; got one with files in it; way out: another --run',
    );
    const { root } = await ran('[{ rows: { count: 2 } }]');
    expect(await refusal(run(pipeline, { folder: root }))).toBe(
      'run  run: expected a new or empty folder; got one with files in it; way out: another --run, or --resume',
    );
  });

  it('does not run again what has come to its end, but what was cut short', async () => {
    const stages = '[{ rows: { count: 6 } }, { guess: { inflight: 1 } }, write]';
    const cancel = new AbortController();
    const watch = (report: RunEvent): void => void (report.kind === 'row' && cancel.abort());
    const { root, summary } = await ran(stages, 'window: 1', { signal: cancel.signal, watch });
    expect(summary).toMatchObject({ rowsOut: 1, stopped: 'cancelled' });
    const again = await ran(stages, 'window: 1', { folder: root, resume: true });
    expect([again.told[0]?.kind, again.summary.rowsOut, again.summary.stopped]).toEqual(['start', 6, undefined]);
    const third = await ran(stages, 'window: 1', { folder: root, resume: true });
    expect(third.told).toEqual([
      {
        kind: 'notice',
        text: expect.stringMatching(
          /run {2}resume: the run has come to its end; nothing of it is run again$/,
        ) as string,
      },
      { kind: 'end', summary: again.summary },
    ]);
    expect(third.summary).toEqual(again.summary);
  });

  it('fits drawn scenes from one end to the other', async () => {
    const text =
      'seed: 7\nsegmenter: { kind: grabcut, size: 32 }\nstages:\n  - load: { scenes: { count: 3 }, frame: 64 }\n  - fit: { maxClicks: 1 }\n  - write: {}\n';
    const pipeline = await readPipeline(folder().file('fit.yaml', text));
    expect(await run(pipeline, { folder: join(folder().path, 'run') })).toMatchObject({
      rowsIn: 3,
      rowsOut: 3,
      marked: {},
    });
  });
});
