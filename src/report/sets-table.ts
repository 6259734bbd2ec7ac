import type { Scores } from '../operators/score.js';
import type { SetSummary } from '../operators/scoring/score-summary.js';
import { metricName, shownValue } from './metric-names.js';
import { headline } from './score-table.js';
import type { Table } from './table.js';

/** Main numbers of several sets, a line each and a table for each kind of set; none of a kind with one set. */
export function setsTables(sets: readonly SetSummary[], protocol: Scores['protocol']): Table[] {
  const kinds = [...new Set(sets.map(({ kind }) => kind))].map((kind) => sets.filter((set) => set.kind === kind));
  return kinds
    .filter((same) => same.length > 1)
    .map((same) => {
      const names = [...new Set(same.flatMap((set) => headline(set, protocol)))];
      const heads = names.map((name) => {
        const { label, variant } = metricName(name);
        return variant === '' ? label : `${label}, ${variant}`;
      });
      return [
        ['set', ...heads, 'n'],
        ...same.map(({ set, metrics, n }) => [
          set,
          ...names.map((name) => (metrics[name] ? shownValue(name, metrics[name].value) : '-')),
          String(n),
        ]),
      ];
    });
}
