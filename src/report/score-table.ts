import type { Scores } from '../operators/score.js';
import type { SetSummary } from '../operators/scoring/score-summary.js';
import { metricName, shownValue } from './metric-names.js';
import type { Table } from './table.js';

/** The main numbers of a set, the protocol's own convention first. */
export function headline(
  { kind, metrics }: Pick<SetSummary, 'kind' | 'metrics'>,
  protocol: Scores['protocol'],
): readonly string[] {
  const convention = protocol === 'legacy' ? 'seg_r1' : 'lisa';
  const names =
    kind === 'foreground'
      ? ['structure', 'weightedF', 'fMeasure/mean', 'fMeasure/max', 'eMeasure/mean', 'mae', 'iou/binary']
      : [`${convention}/iou`, `${convention}/cIoU`, `${convention}/Pr@0.5`, `${convention}/N-acc`];
  const about = ['answer/unparsed', 'answer/repaired', 'answer/missing', 'answer/empty', 'completions/mean_length'];
  return [...names, ...about].filter((name) => (metrics[name]?.n ?? 0) > 0);
}

/** A line for each metric: name, variant, value, 95 % interval, and number of items. */
export function scoreTable({ metrics }: SetSummary, names: readonly string[]): Table {
  const lines = names.map((name) => {
    const { label, variant, better } = metricName(name);
    const { value, low, high, n } = metrics[name];
    return [
      `${label}${better ? (better === 'more' ? ' ↑' : ' ↓') : ''}`,
      variant,
      shownValue(name, value),
      `${shownValue(name, low)} to ${shownValue(name, high)}`,
      String(n),
    ];
  });
  return [['metric', 'variant', 'value', '95 %', 'n'], ...lines];
}

/** Heading of a set's numbers. */
export function setLine({ n, units }: SetSummary, protocol: Scores['protocol']): string {
  return `${n} ${n === 1 ? 'item' : 'items'}, ${protocol === 'legacy' ? 'as they were drawn' : 'each counted once'}${units === n ? '' : `, of ${units} images`}; intervals: percentile bootstrap, 2,000 draws of ${units === n ? 'items' : 'images'}`;
}
