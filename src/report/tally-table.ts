import { bestConstant } from '../operators/scoring/constants.js';
import type { Estimate } from '../operators/scoring/estimate.js';
import type { Tally } from '../operators/tally.js';
import type { Table } from './table.js';

/** What training changed on the rows of an evaluation. */
export interface Gain {
  readonly before: Tally;
  readonly after: Tally;
  /** After minus before, row by row. */
  readonly gains: Readonly<Record<string, Estimate>>;
}

/** Display names of metrics, in display order; unnamed ones follow under their keys. */
const LABELS: Readonly<Record<string, string>> = {
  reward: 'reward',
  'rewards/format/mean': '  format',
  'rewards/iou/mean': '  mask IoU',
  'rewards/structure/mean': '  structure',
  'group/reward_std': '  spread in a group',
  'baseline/another_scene': 'reward on another scene',
  'answer/box': 'box IoU',
  'answer/hit': 'right object',
  'answer/where': 'box IoU with any object',
  'answer/points': 'clicks',
  'answer/parsed': 'parsed',
  'answer/empty': 'empty masks',
  'completions/mean_length': 'tokens',
  'completions/clipped_ratio': 'cut off',
};

/** The metrics of rows: a line for each, mean ± standard error. */
export function tallyTable(tally: Tally): Table {
  const lines = named(tally.metrics).map(([label, name]) => estimateLine(label, tally.metrics[name]));
  return [['', 'mean', 'n'], ...lines, ...constantLine(tally), ['rows', String(tally.rows), ''], ...markedLines(tally)];
}

/** Before, after, and the gain by row, each ± its standard error. */
export function gainTable({ before, after, gains }: Gain): Table {
  const lines = named(after.metrics).map(([label, name]) => [
    label,
    plusMinus(before.metrics[name]),
    plusMinus(after.metrics[name]),
    signed(gains[name]),
  ]);
  const constants = [before, after].map(({ constants: tried }) => plusMinus(bestConstant(tried)?.reward));
  const marks = [before, after].map(({ marked }) => String(total(marked)));
  return [
    ['', 'before', 'after', 'gain by row'],
    ...lines,
    ...(after.constants.length > 0 ? [['best constant answer', ...constants, '']] : []),
    ['rows', String(before.rows), String(after.rows), ''],
    ['marked', ...marks, ''],
  ];
}

function named(metrics: Readonly<Record<string, Estimate>>): (readonly [label: string, name: string])[] {
  // Groups of one have no spread.
  const known = Object.keys(LABELS).filter(
    (name) => name in metrics && !(name === 'group/reward_std' && metrics[name]?.mean === 0),
  );
  const others = Object.keys(metrics).filter((name) => !(name in LABELS));
  return [...known.map((name) => [LABELS[name], name] as const), ...others.map((name) => [name, name] as const)];
}

function estimateLine(label: string, estimate: Estimate): readonly string[] {
  return [label, plusMinus(estimate), String(estimate.n)];
}

function constantLine({ constants }: Tally): Table {
  const best = bestConstant(constants);
  return best ? [estimateLine(`best constant answer, [${best.box.join(',')}]`, best.reward)] : [];
}

function markedLines({ marked }: Tally): Table {
  const stages = Object.entries(marked).map(([stage, count]) => [`marked by ${stage}`, String(count), '']);
  return stages.length > 0 ? stages : [['marked', '0', '']];
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function plusMinus(estimate: Estimate | undefined): string {
  if (!estimate || estimate.n === 0) return '-';
  return Number.isNaN(estimate.error)
    ? estimate.mean.toFixed(3)
    : `${estimate.mean.toFixed(3)} ± ${estimate.error.toFixed(3)}`;
}

function signed(estimate: Estimate | undefined): string {
  return `${estimate && estimate.mean >= 0 ? '+' : ''}${plusMinus(estimate)}`;
}
