import { defined } from '../../defined.js';
import type { RunEvent, StartEvent, StepEvent } from '../events.js';

/** The state of a run as its events report it. */
export interface Seen {
  readonly start?: StartEvent;
  readonly rowsOut: number;
  readonly marked: number;
  readonly step?: StepEvent;
  readonly depths: Readonly<Record<string, number>>;
  readonly tokens: number;
  /** A running evaluation between steps. */
  readonly evaluating?: { readonly done: number; readonly of?: number } | undefined;
  /** The metrics of the newest one. */
  readonly evaluated?: Readonly<Record<string, number>>;
}

/** A run before its first report. */
export const NOTHING: Seen = { rowsOut: 0, marked: 0, depths: {}, tokens: 0 };

/** The state after an event. */
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
      return { ...before, evaluating: within(before.evaluating, report.report) };
    case 'evaluated':
      return { ...before, evaluated: report.metrics };
    case 'end':
      return { ...before, rowsOut: report.summary.rowsOut, tokens: report.summary.tokens, depths: {} };
  }
}

/** Progress of an evaluation, once it reports. */
function within(before: Seen['evaluating'], report: RunEvent): Seen['evaluating'] {
  if (report.kind === 'start') return { done: 0, ...defined({ of: report.rows }) };
  if (report.kind === 'row') return { ...before, done: report.rowsOut };
  return report.kind === 'end' ? undefined : before;
}

/**
 * A run in one line: progress, key metrics of the last step, speed, queues, time left.
 *
 * @param seconds since it began.
 */
export function line(state: Seen, seconds: number): string {
  const { start, rowsOut, marked, step, depths, tokens, evaluating, evaluated } = state;
  const of = (done: number, all: number | undefined): string => (all === undefined ? `${done}` : `${done}/${all}`);
  const queues = Object.entries(depths).filter(([, depth]) => depth > 0);
  const part = share(state);
  // A resumed run has earlier tokens, which took none of these seconds.
  const speed = step?.timing?.speed['tokens_per_second'] ?? (start && seconds > 0 ? tokens / seconds : 0);
  return [
    ...(step || start?.maxSteps !== undefined ? [`step ${of(step?.step ?? 0, start?.maxSteps)}`] : []),
    `rows ${of(rowsOut, start?.rows)}`,
    ...(evaluating ? [`evaluating ${of(evaluating.done, evaluating.of)}`] : []),
    ...(marked > 0 ? [`marked ${marked}`] : []),
    ...(evaluated?.['eval_reward'] === undefined ? [] : [`eval_reward ${evaluated['eval_reward'].toFixed(3)}`]),
    ...watched(step?.metrics ?? {}),
    ...(speed > 0 ? [`${Math.round(speed)} tokens/s`] : []),
    ...(queues.length > 0 ? [`queue ${queues.map(([name, depth]) => `${name} ${depth}`).join(', ')}`] : []),
    ...(part !== undefined && part > 0 && part < 1 ? [`left ${duration((seconds * (1 - part)) / part)}`] : []),
  ].join('  ');
}

/** Key metrics of a step, and their names in the line. */
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

/** The completed share of the run, 0 to 1, by steps or rows, the larger of the two; undefined if unknown. */
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
