import { describe, expect, it } from 'vitest';

import { duration, line, NOTHING, seen, share } from '../../../src/pipelines/run/progress-line.js';
import { progress } from '../../../src/pipelines/run/progress.js';
import type { RunEvent, Summary } from '../../../src/pipelines/events.js';

const summary: Summary = {
  name: 'p',
  folder: '/runs/p',
  rowsIn: 8,
  rowsOut: 8,
  marked: {},
  steps: 1,
  tokens: 40,
  seconds: {},
  elapsed: 2,
};
const start: RunEvent = {
  kind: 'start',
  name: 'p',
  folder: '/runs/p',
  stages: ['load', 'mask'],
  rows: 80,
  maxSteps: 4,
};
const row = (rowsOut: number, skipped?: { stage: string; reason: string }): RunEvent => ({
  kind: 'row',
  id: `r${rowsOut}`,
  rowsIn: rowsOut + 1,
  rowsOut,
  marked: 0,
  ...(skipped && { skipped }),
});
const step = (n: number): RunEvent => ({
  kind: 'step',
  step: n,
  metrics: { reward: 1.25, 'rewards/iou/mean': 0.5, kl: 0.3 },
});

/** What is written when reports come at those times, ms. */
function written(kind: 'terminal' | 'lines' | 'json', reports: readonly (readonly [number, RunEvent])[]): string {
  let [now, text] = [0, ''];
  const watch = progress(kind, { write: (more) => (text += more), columns: 200 }, () => now);
  for (const [time, report] of reports) {
    now = time;
    watch(report);
  }
  return text;
}

describe('line', () => {
  const state = [
    start,
    row(20),
    step(1),
    { kind: 'queue', depths: { load: 0, mask: 3 }, tokens: 500 } satisfies RunEvent,
  ].reduce(seen, NOTHING);

  it('says how far, how good, how fast, where rows wait and how long it takes', () => {
    expect(line(state, 10)).toBe(
      'step 1/4  rows 20/80  reward 1.250  iou 0.500  kl 0.300  50 tokens/s  queue mask 3  left 30s',
    );
  });
  it('says of a step what one watches, in an order of its own', () => {
    const metrics = {
      loss: 2,
      grad_norm: 0.7,
      'completions/mean_length': 40.25,
      entropy: 0.06,
      'group/reward_std': 0.1,
      'answer/box': 0.4,
      'answer/hit': 0.5,
      reward: 1.25,
      'baseline/constant': 1.33,
    };
    expect(line(seen(NOTHING, { kind: 'step', step: 3, metrics }), 1)).toBe(
      'step 3  rows 0  reward 1.250  baseline 1.330  entropy 0.060  length 40.3  grad_norm 0.700',
    );
    expect(line(seen(NOTHING, { kind: 'step', step: 3, metrics: { loss: 2, nll: 1.5, grad_norm: 0.7 } }), 1)).toBe(
      'step 3  rows 0  nll 1.500  grad_norm 0.700',
    );
  });
  it('tells the speed of the last step rather than that of the run, some of whose tokens an earlier one wrote', () => {
    const timed: RunEvent = {
      kind: 'step',
      step: 3,
      metrics: {},
      timing: { speed: { step_time: 2, tokens_per_second: 31.6 }, seconds: {}, blocked: {}, queue: {} },
    };
    expect(line([timed, { kind: 'queue', depths: {}, tokens: 5000 } satisfies RunEvent].reduce(seen, NOTHING), 1)).toBe(
      'step 3  rows 0  32 tokens/s',
    );
  });
  it('says less where less is known', () => expect(line(seen(NOTHING, row(3)), 1)).toBe('rows 3'));
  it('takes steps or rows, whichever is nearer to the end', () => {
    expect(share(state)).toBe(0.25);
    expect(share(seen(state, row(60)))).toBe(0.75);
    expect(share(NOTHING)).toBeUndefined();
  });
});

describe('duration', () => {
  it.each([
    [0.2, '0s'],
    [59.6, '1m00s'],
    [250, '4m10s'],
    [11_100, '3h05m'],
  ])('%d s', (seconds, text) => expect(duration(seconds)).toBe(text));
});

describe('progress', () => {
  it('writes plain lines, the first step at once and then one every few seconds', () => {
    const text = written('lines', [
      [0, start],
      [10, step(1)],
      [20, step(2)],
      [1000, row(8)],
      [4000, step(3)],
      [4001, { kind: 'end', summary }],
    ]);
    expect(text.split('\n')).toEqual([
      'p: load > mask',
      expect.stringMatching(/^step 1\/4 /),
      expect.stringMatching(/^step 3\/4 {2}rows 8\/80 /),
      '',
    ]);
  });

  it('writes a notice whole, whoever reads', () => {
    const notice: RunEvent = { kind: 'notice', text: 'update  mind the step' };
    for (const kind of ['lines', 'terminal'] as const)
      expect(
        written(kind, [
          [0, notice],
          [1, start],
        ]),
      ).toMatch(/^update {2}mind the step\n/);
    expect(written('json', [[0, notice]])).toBe(`${JSON.stringify(notice)}\n`);
  });

  it('tells of the first marked rows', () => {
    const text = written('lines', [
      [0, start],
      ...Array.from({ length: 9 }, (_, i) => [i, row(i, { stage: 'load', reason: 'cut off' })] as const),
    ]);
    expect(text.match(/^marked r\d {2}load: cut off$/gm)).toHaveLength(5);
  });

  it('writes of evaluations under their own labels', () => {
    const before = (report: RunEvent): RunEvent => ({ kind: 'evaluation', when: 'before', report });
    for (const kind of ['lines', 'terminal'] as const) {
      const text = written(kind, [
        [0, before(start)],
        [4000, before(row(20))],
        [4001, before({ kind: 'end', summary })],
        [5000, start],
        [9000, row(4)],
      ]);
      expect(text).toMatch(/before {2}(step 0\/4 {2})?rows 20\/80/);
      expect(text).toContain('rows 4/80');
      expect(text).not.toContain('before  rows 4/80');
    }
  });

  it('says of a run that it is being judged, how far that is, and what it came to', () => {
    const judged = (report: RunEvent): RunEvent => ({ kind: 'evaluation', when: 'step-2', report });
    const evaluated: RunEvent = { kind: 'evaluated', step: 2, metrics: { eval_reward: 1.5, 'eval_answer/hit': 1 } };
    const reports: [number, RunEvent][] = [
      [0, start],
      [10, step(2)],
      [20, judged(start)],
      [5000, judged(row(20))],
      [5010, judged({ kind: 'end', summary })],
      [5011, evaluated],
      [9000, row(4)],
    ];
    expect(written('lines', reports).split('\n')).toEqual([
      'p: load > mask',
      'step-2  p: load > mask',
      expect.stringMatching(/^step 2\/4 {2}rows 0\/80 {2}evaluating 20\/80 {2}reward 1.250 /),
      expect.stringMatching(/^step 2\/4 {2}rows 0\/80 {2}eval_reward 1.500 {2}reward 1.250 /),
      expect.stringMatching(/^step 2\/4 {2}rows 4\/80 {2}eval_reward 1.500 /),
      '',
    ]);
    expect(written('terminal', reports)).toMatch(/evaluating 20\/80/);
    expect(written('json', reports).split('\n')).toContain(
      '{"kind":"evaluated","step":2,"metrics":{"eval_reward":1.5,"eval_answer/hit":1}}',
    );
  });

  it('keeps what each row came to from programs', () => {
    const counted: RunEvent = { kind: 'counted', id: 'r1', values: {} };
    expect(
      written('json', [
        [0, counted],
        [1, { kind: 'evaluation', when: 'after', report: counted }],
        [2, { kind: 'evaluation', when: 'after', report: row(1) }],
      ]),
    ).toBe('');
    expect(written('json', [[0, { kind: 'evaluation', when: 'after', report: { kind: 'end', summary } }]])).toContain(
      '"when":"after","report":{"kind":"end"',
    );
  });

  it('writes JSON lines and nothing else; of rows only marked ones', () => {
    const lines = written('json', [
      [0, start],
      [1, row(1)],
      [2, row(2, { stage: 'load', reason: 'x' })],
      [3, step(1)],
      [4, { kind: 'end', summary }],
    ])
      .trim()
      .split('\n');
    expect(lines.map((text) => (JSON.parse(text) as RunEvent).kind)).toEqual(['start', 'row', 'step', 'end']);
  });

  it('redraws two lines on a terminal, ten times a second at most, and ends below them', () => {
    const text = written('terminal', [
      [0, start],
      [10, row(1)],
      [20, row(2)],
      [200, row(20)],
      [201, { kind: 'end', summary }],
    ]);
    expect(text.split('\u001b[1A')).toHaveLength(3);
    expect(text).toContain(`${'█'.repeat(10)}${'░'.repeat(30)} 25%`);
    expect(text.endsWith('\n')).toBe(true);
    const gain: RunEvent = {
      kind: 'gain',
      name: 'judge',
      before: { rows: 0, marked: {}, metrics: {}, constants: [] },
      after: { rows: 0, marked: {}, metrics: {}, constants: [] },
      gains: {},
    };
    expect(
      written('terminal', [
        [0, start],
        [10, { kind: 'end', summary }],
        [900, gain],
      ]),
    ).toBe(
      written('terminal', [
        [0, start],
        [10, { kind: 'end', summary }],
      ]),
    );
  });
});
