import type { Scores } from '../operators/score.js';
import type { SetSummary } from '../operators/scoring/score-summary.js';
import { threeDecimals } from './metric-names.js';
import { paperOf } from './paper.js';
import type { Table } from './table.js';

/** A set's numbers, by method. */
export interface Run {
  readonly name: string;
  readonly protocol: Scores['protocol'];
  readonly metrics: SetSummary['metrics'];
}

/** Note beside the table: which of our metrics are in its columns. */
export const BESIDE =
  'The paper does not say which F and E it prints, nor of which draw of its random protocol; ours are weighted F and mean E, and of expressions the run’s own convention.';

/**
 * The paper's numbers of a set, and your runs below; undefined if it has none.
 *
 * @param set as in `cod10k/test`.
 */
export function paperTable(set: string, runs: readonly Run[]): Table | undefined {
  const paper = paperOf(set);
  if (!paper) return undefined;
  const percent = paper.columns.includes('cIoU');
  const own = ({ name, protocol, metrics }: Run): string[] => [
    name,
    ...paper.columns.map((column) => {
      const value = metrics[ourName(column, protocol)]?.value ?? NaN;
      return Number.isNaN(value) ? '-' : percent ? (value * 100).toFixed(1) : threeDecimals(value);
    }),
  ];
  return [
    [paper.title, ...paper.columns],
    ...paper.rows.map(({ method, values }) => [method, ...values]),
    ...runs.map(own),
  ];
}

function ourName(column: string, protocol: Scores['protocol']): string {
  const convention = protocol === 'legacy' ? 'seg_r1' : 'lisa';
  const names: Readonly<Record<string, string>> = {
    S: 'structure',
    F: 'weightedF',
    E: 'eMeasure/mean',
    M: 'mae',
    gIoU: `${convention}/iou`,
    cIoU: `${convention}/cIoU`,
  };
  return names[column] ?? column;
}
