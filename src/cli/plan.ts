import { availableParallelism, totalmem } from 'node:os';

import type { PromptWork } from '../models/estimate.js';
import type { Plan } from '../pipelines/config/plan.js';
import { duration } from '../pipelines/run/progress-line.js';
import { openEngine } from '../tensor/engines.js';
import { matrixRun, measure } from './matrix-speed.js';

/** How fast this machine is: operations and bytes of memory a second. */
export interface Speed {
  readonly operations: number;
  readonly bytes: number;
}

/** Measures this machine, in half a second. */
export async function speedHere(): Promise<Speed> {
  const engine = openEngine({ workers: 1, threads: availableParallelism() });
  try {
    const operations = 1e9 * (await measure(engine, matrixRun('cpu', 'float32'), 0.2));
    return { operations, bytes: copySpeed() };
  } finally {
    await engine.release();
  }
}

/** Bytes a second that one core copies; reading weights is about as fast. */
function copySpeed(): number {
  const [from, to] = [new Uint8Array(64e6).fill(1), new Uint8Array(64e6)];
  to.set(from);
  const began = performance.now();
  for (let i = 0; i < 4; i++) to.set(from);
  return (1000 * 2 * 4 * from.length) / (performance.now() - began);
}

/** Seconds of one run of a graph beside its arithmetic, measured on the small policy. */
const PER_RUN = 0.004;

/** Seconds of a plan on a machine, at most: as if each completion were as long as it may be. Undefined where unknown. */
export function secondsOf({ rows, policy, segmenter }: Plan, speed: Speed): number | undefined {
  if (rows === undefined || (!policy && !segmenter)) return undefined;
  const perRow = (policy ? promptSeconds(policy, speed) : 0) + (segmenter?.operations ?? 0) / speed.operations;
  return rows * perRow;
}

function promptSeconds({ operations, writing }: PromptWork, speed: Speed): number {
  const arithmetic = writing.operations / speed.operations;
  const reading = (writing.passes * writing.bytes) / speed.bytes;
  return operations / speed.operations + Math.max(arithmetic, reading) + writing.passes * PER_RUN;
}

/** A plan for people, a line each. */
export function planText(plan: Plan, speed: Speed | undefined): string[] {
  const { counts, rows, steps, bytes, evaluation } = plan;
  const seconds = speed && secondsOf(plan, speed);
  const found = Object.entries(counts)
    .map(([name, count]) => `${count} ${name}`)
    .join(' and ');
  const lines = [
    rows === undefined ? found : [rows, found].filter((part) => part !== '').join(' of '),
    steps === undefined ? '' : String(steps),
    bytes === undefined ? '' : memoryText(bytes, totalmem()),
    seconds === undefined ? '' : timeText(seconds),
  ];
  return [
    ...lines.flatMap((line, i) => (line === '' ? [] : [`${NAMES[i]}${line}`])),
    ...(evaluation ? planText(evaluation, speed).map((line) => `evaluate ${line}`) : []),
  ];
}

const NAMES = ['rows     ', 'steps    ', 'memory   ', 'time     '];

function timeText(seconds: number): string {
  if (seconds < 10) return 'some seconds';
  return `${duration(seconds)} at most, within a factor of three; --max-steps 1 measures a step`;
}

function memoryText(bytes: number, here: number): string {
  const gigabytes = (value: number): string => `${(value / 1e9).toFixed(1)} GB`;
  return `${gigabytes(bytes)} at most, of ${gigabytes(here)} here${bytes > here ? ': more than there is' : ''}`;
}
