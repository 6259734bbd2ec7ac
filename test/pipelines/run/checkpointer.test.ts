import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Subject } from 'rxjs';
import { describe, expect, it } from 'vitest';

import type { ReportStep } from '../../../src/operators/sft.js';
import { update } from '../../../src/operators/update.js';
import { checkpointWriter, type CheckpointWriter } from '../../../src/pipelines/run/checkpoint-writer.js';
import {
  Checkpointer,
  stageStates,
  Trainee,
  type CheckpointContext,
  type StageStates,
} from '../../../src/pipelines/run/checkpointer.js';
import { RowTracker } from '../../../src/pipelines/run/row-tracker.js';
import { readState, type Saved } from '../../../src/pipelines/store/checkpoint-state.js';
import { RunFolder } from '../../../src/pipelines/store/run-folder.js';
import type { CheckpointOptions } from '../../../src/pipelines/settings.js';
import type { Advantaged, Updated } from '../../../src/records.js';
import { advantaged, blank, sample, stubPolicy } from '../../operators/stub-policy.js';
import { later, until } from '../../waiting.js';
import { folder } from '../files.js';

/** A policy that is a number in a file. */
function learner(save: (dir: string) => void = () => {}) {
  const policy = {
    version: 0,
    held: Promise.resolve() as Promise<unknown>,
    restored: [] as string[],
    pause: (ready: Promise<unknown>) => void (policy.held = ready),
    async save(dir: string) {
      mkdirSync(dir);
      save(dir);
      writeFileSync(join(dir, 'weights'), String(policy.version));
    },
    saveTraining: async (dir: string) => writeFileSync(join(dir, 'moments'), ''),
    restore: async (dir: string) => void policy.restored.push(dir),
  };
  return policy;
}

interface Run {
  readonly checkpointer: Checkpointer;
  readonly states: StageStates;
  readonly writer: CheckpointWriter;
  readonly tracker: RowTracker;
  readonly policy: ReturnType<typeof learner>;
  readonly at: string;
  readonly told: number[];
  enter(...ids: string[]): void;
  leave(...ids: string[]): void;
  step(...rows: string[]): void;
}

interface Given extends Partial<Pick<CheckpointContext, 'from' | 'ending' | 'evaluation'>> {
  readonly options?: CheckpointOptions;
}

/** A run with nothing in it, that learns. */
async function begun(
  { options = { every: 2, keep: 3 }, from, ...over }: Given = {},
  policy = learner(),
  root = folder().path,
): Promise<Run> {
  const run = new RunFolder(root).make();
  writeFileSync(run.config, 'run: {}\n');
  const tracker = new RowTracker(from?.state);
  const states = stageStates(from?.state.memory);
  const writer = checkpointWriter(run, options);
  const trainee = new Trainee(from);
  const told: number[] = [];
  const checkpointer = new Checkpointer({
    folder: run,
    options,
    tracker,
    trainee,
    states,
    writer,
    from,
    ending: () => false,
    spent: () => ({ elapsed: 1, seconds: {} }),
    written: (step) => told.push(step),
    ...over,
  });
  checkpointer.over.subscribe({ error: () => undefined });
  await trainee.take(policy);
  return {
    checkpointer,
    states,
    writer,
    tracker,
    policy,
    at: run.checkpoints,
    told,
    enter: (...ids) => ids.forEach((id) => tracker.enter(sample(id))),
    leave: (...ids) => ids.forEach((id) => (tracker.leave(sample(id)), checkpointer.rowLeft())),
    step: (...rows) =>
      checkpointer.stepped({
        kind: 'step',
        step: ++policy.version,
        metrics: { reward: policy.version % 3, loss: policy.version },
        rows,
      }),
  };
}

/** Whether it is settled before a checkpoint that another run begins now stands. */
const settled = async (promise: Promise<unknown>): Promise<boolean> =>
  Promise.race([promise.then(() => true), anotherCheckpoint().then(() => false)]);

async function anotherCheckpoint(): Promise<void> {
  const run = await begun({ options: { every: 1, keep: 1 } });
  run.enter('a');
  run.step('a');
  run.leave('a');
  await run.policy.held;
}

describe('Checkpointer', () => {
  it('waits until the rows of the step have left, and holds the next step until it stands', async () => {
    const run = await begun();
    run.enter('a', 'b', 'c', 'd', 'e');
    run.step('a', 'b');
    run.leave('a', 'b');
    expect(await settled(run.policy.held)).toBe(true);
    run.step('c', 'd');
    run.leave('c');
    expect(await settled(run.policy.held)).toBe(false);
    expect(readdirSync(run.at)).toEqual([]);
    run.leave('d');
    await run.policy.held;
    expect(readdirSync(run.at)).toEqual(['step-2']);
    expect(await readState(join(run.at, 'step-2'))).toMatchObject({
      step: 2,
      source: { cursor: 5, pending: ['e'] },
      rows: { rowsOut: 4 },
    });
    expect(run.told).toEqual([2]);
  });

  it('takes several steps on the same rows for one: there is no checkpoint before those leave, and then of the last', async () => {
    const run = await begun();
    const written: Updated[] = [];
    // Steps wait for the checkpoint, as the policy's own do.
    const policy = stubPolicy({
      step: async () => {
        await run.policy.held;
        return (policy.version = ++run.policy.version);
      },
    });
    const told: ReportStep = (step, metrics, rows) =>
      run.checkpointer.stepped({ kind: 'step', step, metrics, rows: rows.map(({ id }) => id) });
    const rows = new Subject<Advantaged>();
    rows
      .pipe(
        update({ policy, readImage: blank, temperature: 1, report: told }, { groupsPerStep: 2, updatesPerBatch: 3 }),
      )
      .subscribe((row) => (written.push(row), run.leave(row.id)));
    for (const id of ['a', 'b', 'c', 'd', 'e']) {
      run.enter(id);
      rows.next(advantaged(id, [1]));
    }
    await until(() => written.length === 4);
    await run.policy.held;
    expect(written.map(({ id, step }) => [id, step])).toEqual([
      ['a', 3],
      ['b', 3],
      ['c', 6],
      ['d', 6],
    ]);
    expect(run.told).toEqual([3, 6]);
    const from: Saved = { folder: join(run.at, 'step-3'), state: await readState(join(run.at, 'step-3')) };
    expect(from.state).toMatchObject({
      step: 3,
      source: { cursor: 5, pending: ['c', 'd', 'e'] },
      rows: { rowsOut: 2 },
    });

    rmSync(join(run.at, 'step-6'), { recursive: true });
    const second = await begun({ from }, learner(), join(run.at, '..'));
    second.policy.version = 3;
    second.enter('c', 'd', 'e');
    second.step();
    second.step();
    expect(await settled(second.policy.held)).toBe(true);
    second.step('c', 'd');
    second.leave('c', 'd');
    await second.policy.held;
    expect([second.told, (await readState(join(second.at, 'step-6'))).source]).toEqual([
      [6],
      { cursor: 5, pending: ['e'] },
    ]);
  });

  it('knows everything as it was at one moment', async () => {
    const run = await begun();
    let seen = 0;
    run.states.keep('tally', () => ({ seen }));
    run.states.keep('tally', (pending) => [...pending]);
    run.writer.before(async () => {
      run.enter('late');
      await later(5);
      seen = 9;
    });
    run.enter('a', 'b');
    run.policy.version = 1;
    run.step('a');
    seen = 1;
    run.leave('a');
    await run.policy.held;
    expect(await readState(join(run.at, 'step-2'))).toMatchObject({
      source: { cursor: 2, pending: ['b'] },
      memory: { tally: { seen: 1 }, 'tally 2': ['b'] },
    });
  });

  it('goes on from where it stood: rows that come again are not new', async () => {
    const first = await begun();
    first.states.keep('tally', () => 'known');
    first.enter('a', 'b', 'c');
    first.policy.version = 1;
    first.step('a');
    first.leave('a');
    await first.policy.held;
    const from: Saved = { folder: join(first.at, 'step-2'), state: await readState(join(first.at, 'step-2')) };
    const second = await begun({ from }, learner(), join(first.at, '..'));
    expect(second.policy.restored).toEqual([from.folder]);
    expect(second.states.keep('tally', () => 'more')).toBe('known');
    second.enter('b', 'd');
    second.policy.version = 3;
    second.step('b');
    second.leave('b');
    await second.policy.held;
    expect(await readState(join(second.at, 'step-4'))).toMatchObject({
      source: { cursor: 4, pending: ['c', 'd'] },
      rows: { rowsOut: 2 },
      memory: { tally: 'more' },
    });
  });

  it('keeps the newest and the best', async () => {
    const run = await begun({ options: { every: 1, keep: 1, best: 'reward' } });
    for (const id of ['a', 'b', 'c', 'd']) {
      run.enter(id);
      run.step(id);
      run.leave(id);
      await run.policy.held;
    }
    // The metric is 1, 2, 0, 1.
    expect(readdirSync(run.at).toSorted()).toEqual(['step-2', 'step-4']);
    const less = await begun({ options: { every: 1, keep: 1, best: '-loss' } });
    for (const id of ['a', 'b', 'c']) {
      less.enter(id);
      less.step(id);
      less.leave(id);
      await less.policy.held;
    }
    expect(readdirSync(less.at).toSorted()).toEqual(['step-1', 'step-3']);
  });

  it('has the policy judged behind a checkpoint, and holds the next step until that has ended', async () => {
    const [at, done]: [string[][], (() => void)[]] = [[], []];
    const judge = (step: number): Promise<void> =>
      new Promise((resolve) => (at.push([`${step}`, ...readdirSync(run.at)]), done.push(resolve)));
    const run = await begun({ evaluation: { every: 2, evaluate: judge } });
    for (const id of ['a', 'b', 'c']) {
      run.enter(id);
      run.step(id);
      expect(at).toEqual(id === 'a' || id === 'b' ? [] : [['2', 'step-2']]);
      run.leave(id);
      if (id === 'b') {
        await until(() => at.length > 0);
        expect(at).toEqual([['2', 'step-2']]);
        expect(await settled(run.policy.held)).toBe(false);
        expect((await readState(join(run.at, 'step-2'))).evaluated).toBe(2);
        done[0]?.();
      }
      await run.policy.held;
    }
    expect(run.told).toEqual([2]);
  });

  it('has it judged where no checkpoint is due, and behind several steps on the same rows', async () => {
    const at: number[] = [];
    const run = await begun({
      options: { every: 100, keep: 3 },
      evaluation: { every: 2, evaluate: async (step) => void at.push(step) },
    });
    for (const id of ['a', 'b', 'c']) {
      run.enter(id);
      run.step();
      run.step();
      run.step(id);
      run.leave(id);
      await run.policy.held;
    }
    expect([at, readdirSync(run.at)]).toEqual([[3, 6, 9], []]);
  });

  it.each([
    [true, 2],
    [false, 0],
  ])('owes an evaluation that was due at its last step: %s', async (owes, every) => {
    const first = await begun({ evaluation: { every: every || 3, evaluate: async () => undefined } });
    first.enter('a', 'b');
    first.policy.version = 1;
    first.step('a');
    first.leave('a');
    await first.policy.held;
    const from: Saved = { folder: join(first.at, 'step-2'), state: await readState(join(first.at, 'step-2')) };
    const at: number[] = [];
    const second = await begun(
      { from, evaluation: { every: 2, evaluate: async (step) => void at.push(step) } },
      learner(),
      join(first.at, '..'),
    );
    expect([from.state.evaluated, second.checkpointer.owesEvaluation]).toEqual([owes ? 2 : 0, owes]);
    await second.checkpointer.makeUpEvaluation();
    expect(at).toEqual([2]);
  });

  it('fails with an evaluation that fails, also behind the last row', async () => {
    const run = await begun({ evaluation: { every: 1, evaluate: () => Promise.reject(new Error('judge: gone')) } });
    const over = new Promise<Error>((resolve) => run.checkpointer.over.subscribe({ error: resolve }));
    run.enter('a');
    run.step('a');
    run.leave('a');
    await expect(run.checkpointer.finish()).rejects.toThrow('judge: gone');
    expect((await over).message).toBe('judge: gone');
  });

  it('ends with the step that it is at where it is to, and lets no other be taken', async () => {
    const run = await begun({ ending: () => true, options: { every: 100, keep: 3 } });
    run.enter('a', 'b');
    const over = new Promise<void>((resolve) => run.checkpointer.over.subscribe(resolve));
    run.step('a');
    run.leave('a');
    await over;
    expect(readdirSync(run.at)).toEqual(['step-1']);
    expect(await settled(run.policy.held)).toBe(false);
  });

  it('writes the end down once, and nothing of a run without a step', async () => {
    const run = await begun();
    await run.checkpointer.finish();
    expect(readdirSync(run.at)).toEqual([]);
    run.enter('a');
    run.step('a');
    run.leave('a');
    await run.checkpointer.finish();
    await run.checkpointer.finish();
    expect([readdirSync(run.at), run.told]).toEqual([['step-1'], [1]]);
  });

  it.each([
    [
      'has no room',
      learner(() => {
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      }),
      () => {},
      'ENOSPC: no space left on device, write',
    ],
    ['was deleted', learner(), (at: string) => rmSync(at, { recursive: true }), 'ENOENT: no such file or directory'],
  ])('says that the folder %s, and leaves nothing half done', async (_, policy, harm, message) => {
    const run = await begun({}, policy);
    harm(run.at);
    const over = new Promise<Error>((resolve) => run.checkpointer.over.subscribe({ error: resolve }));
    run.policy.version = 1;
    run.enter('a');
    run.step('a');
    run.leave('a');
    expect((await over).message).toContain(
      `${join(run.at, 'step-2')}  writing a checkpoint: expected a folder with room for it; got ${message}`,
    );
    expect(existsSync(run.at) ? readdirSync(run.at) : []).toEqual([]);
  });
});

describe('stageStates', () => {
  it('keeps stages of one name apart, in their order, and gives each what was its own', () => {
    const first = stageStates();
    for (const value of ['a', 'b'])
      expect(first.keep('tally', (pending) => `${value} without ${[...pending].join()}`)).toBeUndefined();
    const kept = first.snapshot(new Set(['row']));
    expect(kept).toEqual({ tally: 'a without row', 'tally 2': 'b without row' });
    const second = stageStates(kept);
    expect([second.keep('tally', () => 0), second.keep('tally', () => 0), second.keep('score', () => 0)]).toEqual([
      'a without row',
      'b without row',
      undefined,
    ]);
  });
});
