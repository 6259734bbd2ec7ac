import { existsSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { tableFromIPC } from 'apache-arrow';
import { describe, expect, it } from 'vitest';

import { stepLog } from '../../../src/pipelines/run/step-log.js';
import type { StepTokens } from '../../../src/operators/training/step-metrics.js';
import type { StageMetrics } from '../../../src/pipelines/run/stage-metrics.js';
import { folder } from '../files.js';

const step = (number: number) => ({ kind: 'step' as const, step: number, metrics: { reward: number / 10 } });

/** A stage that reads so much each time that it is looked at. */
function stageAt(stage: string, { busy, blocked }: { busy: number[]; blocked: number[] }): StageMetrics {
  return { stage, rowsIn: 1, rowsOut: 1, busy: () => busy.shift() ?? NaN, blocked: () => blocked.shift() ?? NaN };
}

/** The log of a run whose `metrics` are that folder. */
const logIn = (path: string, done?: number): ReturnType<typeof stepLog> =>
  stepLog({ stepLines: join(path, 'metrics.jsonl'), stepTable: join(path, 'metrics.arrow') }, done);

describe('stepLog', () => {
  it('goes on behind steps that stay, and gives up later ones', async () => {
    const { path } = folder();
    const first = await logIn(path);
    for (const number of [1, 2, 3]) first.take(step(number), [], number);
    await first.flush();
    const second = await logIn(path, 2);
    expect(second.count).toBe(2);
    second.take({ ...step(3), metrics: { reward: 0.7 } }, [], 1);
    await second.flush();
    expect(
      tableFromIPC(readFileSync(join(path, 'metrics.arrow')))
        .toArray()
        .map((row) => (row as Record<string, unknown>)['reward']),
    ).toEqual([0.1, 0.2, 0.7]);
  });

  it('counts tokens and seconds from step to step; tokens go on behind steps that stay', async () => {
    const { path } = folder();
    const taught = (number: number, tokens: StepTokens) => ({ ...step(number), tokens });
    const [load, mask] = [
      stageAt('load', { busy: [1, 1.5], blocked: [0.25, 4.25] }),
      stageAt('mask', { busy: [2, 5], blocked: [0, 0] }),
    ];
    const first = await logIn(path);
    const [one, two] = [
      first.take(taught(1, { read: 70, written: 30 }), [load, mask], 2),
      first.take(taught(2, { read: 5, written: 8 }), [load, mask], 6),
    ];
    expect([one.metrics, two.metrics]).toEqual([
      { reward: 0.1, num_tokens: 100 },
      { reward: 0.2, num_tokens: 113 },
    ]);
    expect([one.timing, two.timing]).toEqual([
      {
        speed: { step_time: 2, tokens_per_second: 15 },
        seconds: { load: 1, mask: 2 },
        blocked: { load: 0.25 },
        queue: { load: 0, mask: 0 },
      },
      {
        speed: { step_time: 4, tokens_per_second: 2 },
        seconds: { load: 0.5, mask: 3 },
        blocked: { load: 4 },
        queue: { load: 0, mask: 0 },
      },
    ]);
    const second = await logIn(path, 1);
    expect(second.take(taught(2, { read: 5, written: 8 }), [], 3)).toMatchObject({
      metrics: { num_tokens: 113 },
      timing: { speed: { step_time: 3 } },
    });
  });

  it('adds to the newest step what became known later', async () => {
    const { path } = folder();
    const log = await logIn(path);
    await log.amend({ early: 1 });
    log.take(step(1), [], 1);
    log.take(step(2), [], 2);
    await log.amend({ eval_reward: 0.5 });
    await log.flush();
    log.take(step(3), [], 3);
    const lines = readFileSync(join(path, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { metrics: object }).metrics);
    expect(lines).toEqual([{ reward: 0.1 }, { reward: 0.2, eval_reward: 0.5 }, { reward: 0.3 }]);
    expect(
      tableFromIPC(readFileSync(join(path, 'metrics.arrow')))
        .toArray()
        .map((row) => (row as Record<string, unknown>)['eval_reward']),
    ).toEqual([null, 0.5]);
  });

  it('writes no table without a step', async () => {
    const { path } = folder();
    await (await logIn(path)).flush();
    expect(existsSync(join(path, 'metrics.arrow'))).toBe(false);
  });

  it.skipIf(process.platform !== 'linux')(
    'says where there is no room (a full device, which Linux alone has)',
    async () => {
      const { path } = folder();
      symlinkSync('/dev/full', join(path, 'metrics.jsonl'));
      const log = await logIn(path);
      expect(() => log.take(step(1), [], 1)).toThrow(
        `${join(path, 'metrics.jsonl')}  writing metrics: expected a folder with room for them; got ENOSPC`,
      );
    },
  );

  it('says where the folder was deleted', async () => {
    const { path } = folder();
    const log = await logIn(path);
    rmSync(path, { recursive: true });
    expect(() => log.take(step(1), [], 1)).toThrow('writing metrics: expected a folder with room for them; got ENOENT');
  });
});
