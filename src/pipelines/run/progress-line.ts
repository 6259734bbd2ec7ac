import { defined } from '../../defined.js';
import type { RunEvent, StartEvent, StepEvent } from '../events.js';

/** What is known of a run so far. */
export interface Seen {
  readonly start?: StartEvent;
  readonly rowsOut: number;
  readonly marked: number;
  readonly step?: StepEvent;
  readonly depths: Readonly<Record<string, number>>;
  readonly tokens: number;
  /** An evaluation between steps that is going on. */
  readonly judging?: { readonly done: number; readonly of?: number } | undefined;
  /** What the newest one came to. */
  readonly judged?: Readonly<Record<string, number>>;
}

/** A run before its first report. */
export const NOTHING: Seen = { rowsOut: 0, marked: 0, depths: {}, tokens: 0 };

/** What is known once a report is in. */
export function seen(before: Seen, report: RunEvent): Seen {
  switch (report.kind) {
    case 'start':
      return { ...before, start: report };
    case 'step':
      return { ...before, step: report };
    case 'row':
      return { ...before, rowsOut: report.rowsOut, marked: report.marked };
    case 'queue':
      return { ...before, depths: report.depths, tokens: report.tokens };
    case 'notice':
    case 'baseline':
    case 'checkpoint':
    case 'counted':
    case 'tally':
    case 'scores':
    case 'benchmark':
    case 'gain':
      return before;
    case 'evaluation':
      return { ...before, judging: within(before.judging, report.report) };
    case 'evaluated':
      return { ...before, judged: report.metrics };
    case 'end':
      return { ...before, rowsOut: report.summary.rowsOut, tokens: report.summary.tokens, depths: {} };
  }
}

/** How far an evaluation is, once it reports. */
function within(before: Seen['judging'], report: RunEvent): Seen['judging'] {
  if (report.kind === 'start') return { done: 0, ...defined({ of: report.rows }) };
  if (report.kind === 'row') return { ...before, done: report.rowsOut };
  return report.kind === 'end' ? undefined : before;
}

/**
 * A run in one line: how far, what one watches of the last step, speed, queues, time left.
 *
 * @param seconds since it began.
 */
export function line(state: Seen, seconds: number): string {
  const { start, rowsOut, marked, step, depths, tokens, judging, judged } = state;
  const of = (done: number, all: number | undefined): string => (all === undefined ? `${done}` : `${done}/${all}`);
  const queues = Object.entries(depths).filter(([, depth]) => depth > 0);
  const part = share(state);
  // A run that goes on has tokens of before, which took none of these seconds.
  const speed = step?.timing?.speed['tokens_per_second'] ?? (start && seconds > 0 ? tokens / seconds : 0);
  return [
    ...(step || start?.maxSteps !== undefined ? [`step ${of(step?.step ?? 0, start?.maxSteps)}`] : []),
    `rows ${of(rowsOut, start?.rows)}`,
    ...(judging ? [`evaluating ${of(judging.done, judging.of)}`] : []),
    ...(marked > 0 ? [`marked ${marked}`] : []),
    ...(judged?.['eval_reward'] === undefined ? [] : [`eval_reward ${judged['eval_reward'].toFixed(3)}`]),
    ...watched(step?.metrics ?? {}),
    ...(speed > 0 ? [`${Math.round(speed)} tokens/s`] : []),
    ...(queues.length > 0 ? [`queue ${queues.map(([name, depth]) => `${name} ${depth}`).join(', ')}`] : []),
    ...(part !== undefined && part > 0 && part < 1 ? [`left ${duration((seconds * (1 - part)) / part)}`] : []),
  ].join('  ');
}

/** What one watches of a step, and what the line calls it. */
const WATCHED: Readonly<Record<string, string>> = {
  reward: 'reward',
  'baseline/constant': 'baseline',
  'rewards/iou/mean': 'iou',
  nll: 'nll',
  kl: 'kl',
  entropy: 'entropy',
  'completions/mean_length': 'length',
  grad_norm: 'grad_norm',
};

function watched(metrics: Readonly<Record<string, number>>): string[] {
  return Object.entries(WATCHED).flatMap(([name, called]) => {
    const value = metrics[name];
    return value === undefined
      ? []
      : [`${called} ${name === 'completions/mean_length' ? value.toFixed(1) : value.toFixed(3)}`];
  });
}

/**
 * How much of the run is done, 0 to 1, by steps or rows, whichever is nearer to its end; undefined where nobody knows.
 */
export function share({ start, rowsOut, step }: Seen): number | undefined {
  const parts = [
    ...(start?.maxSteps === undefined ? [] : [(step?.step ?? 0) / start.maxSteps]),
    ...(start?.rows === undefined ? [] : [rowsOut / start.rows]),
  ];
  return parts.length > 0 ? Math.min(1, Math.max(...parts)) : undefined;
}

/** `42s`, `4m10s`, `3h05m`. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (n: number): string => String(n).padStart(2, '0');
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
}
