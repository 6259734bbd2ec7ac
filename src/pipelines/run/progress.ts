import cliProgress from 'cli-progress';

import { duration, line, NOTHING, seen, share } from './progress-line.js';
import { inLine, printable } from '../../printable.js';
import type { RunEvent, RunListener } from '../events.js';

/** Output for progress; a terminal has a width. */
export interface Output {
  write(text: string): unknown;
  readonly columns?: number;
}

/** Least time between two plain lines, ms. */
const LINE_EVERY = 3000;
/** Least time between two drawings on a terminal, ms. */
const DRAW_EVERY = 100;
/** Marked rows reported one by one; the summary counts them all. */
const MOST_MARKS = 5;

/**
 * A listener that writes progress: a redrawn bar on a terminal, plain lines elsewhere, JSON lines for programs. It has
 * no timer, so a stalled run still ends the process.
 */
export function progress(
  kind: 'terminal' | 'lines' | 'json',
  out: Output,
  now: () => number = () => performance.now(),
): RunListener {
  switch (kind) {
    case 'json':
      return (report) => {
        if (worthALine(report)) out.write(`${printable(JSON.stringify(report))}\n`);
      };
    case 'lines':
      return withEvaluations((label) => lines(out, now, label));
    case 'terminal':
      return withEvaluations((label) => terminal(out, now, label));
  }
}

/** Whether an event is written as JSON: rows only if they are marked. */
function worthALine(report: RunEvent): boolean {
  if (report.kind === 'evaluation') return worthALine(report.report);
  return report.kind === 'row' ? report.skipped !== undefined : report.kind !== 'counted';
}

/**
 * Follows a run, and the evaluations before and after it under their own labels; those in between are part of the run.
 */
function withEvaluations(watcher: (label: string) => RunListener): RunListener {
  const own = watcher('');
  const evaluations = { before: watcher('before  '), after: watcher('after  ') };
  return (report) => {
    if (report.kind === 'evaluation' && (report.when === 'before' || report.when === 'after'))
      evaluations[report.when](report.report);
    else own(report);
  };
}

function lines(out: Output, now: () => number, label: string): RunListener {
  let state = NOTHING;
  let marks = 0;
  let began = now();
  let last = -Infinity;
  const say = (text: string): unknown => out.write(`${inLine(`${label}${text}`)}\n`);
  return (report) => {
    state = seen(state, report);
    if (report.kind === 'start') {
      began = last = now();
      say(`${report.name}: ${report.stages.join(' > ')}`);
    }
    if (report.kind === 'notice') say(report.text);
    if (report.kind === 'row' && report.skipped && ++marks <= MOST_MARKS)
      out.write(`${inLine(`marked ${report.id}  ${report.skipped.stage}: ${report.skipped.reason}`)}\n`);
    const { kind, ...inner } = report.kind === 'evaluation' ? report.report : report;
    if (report.kind === 'evaluation' && 'stages' in inner)
      out.write(`${inLine(`${report.when}  ${inner.name}: ${inner.stages.join(' > ')}`)}\n`);
    const atOnce = kind === 'evaluated' || (report.kind === 'step' && report.step === 1);
    if (!atOnce && ((kind !== 'step' && kind !== 'row') || now() - last < LINE_EVERY)) return;
    last = now();
    say(line(state, (last - began) / 1000));
  };
}

function terminal(out: Output, now: () => number, label: string): RunListener {
  let state = NOTHING;
  let began = now();
  let last = -Infinity;
  let drawn = false;
  let ended = false;
  return (report) => {
    state = seen(state, report);
    if (report.kind === 'start') began = now();
    if (report.kind === 'notice') {
      // Other output stays above it.
      out.write(`${drawn ? '\n' : ''}${inLine(`${label}${report.text}`)}\n`);
      drawn = false;
      return;
    }
    if (ended || (now() - last < DRAW_EVERY && report.kind !== 'end')) return;
    ended = report.kind === 'end';
    last = now();
    const seconds = (last - began) / 1000;
    const rows = [bar(share(state), seconds), inLine(`${label}${line(state, seconds)}`)].map((text) =>
      text.slice(0, Math.max(20, (out.columns || 80) - 1)),
    );
    out.write(
      `${drawn ? '\x1b[1A' : ''}\r${rows.map((text) => `\x1b[2K${text}`).join('\n\r')}${report.kind === 'end' ? '\n' : ''}`,
    );
    drawn = true;
  };
}

const WIDTH = 40;
const BAR = {
  barsize: WIDTH,
  barCompleteString: '█'.repeat(WIDTH),
  barIncompleteString: '░'.repeat(WIDTH),
  barGlue: '',
};

function bar(part: number | undefined, seconds: number): string {
  if (part === undefined) return duration(seconds);
  return `${cliProgress.Format.BarFormat(part, BAR)} ${Math.floor(part * 100)}%  ${duration(seconds)}`;
}
