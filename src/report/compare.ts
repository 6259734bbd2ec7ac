import { bootstrap, unitsOf } from '../metrics/bootstrap.js';
import { setMeasure, type SetMetric, type SetSummary } from '../operators/scoring/score-summary.js';
import { metricName, shownValue } from './metric-names.js';
import { paperTable } from './paper-table.js';
import type { StoredItem, StoredRun } from './runs.js';
import { headline } from './score-table.js';
import type { Table } from './table.js';

/** A set that at least one run has, side by side. */
export interface ComparedSet {
  readonly set: string;
  readonly kind: SetSummary['kind'];
  /** By metric, a value for each run; null where a run lacks it. */
  readonly metrics: Readonly<Record<string, readonly (SetMetric | null)[]>>;
  /** Of each run after the first, by metric: its difference from the first on the rows that both have. */
  readonly differences: readonly {
    readonly run: string;
    readonly rows: number;
    readonly metrics: Readonly<Record<string, SetMetric>>;
  }[];
  /** The paper's rows, if it has the set. */
  readonly paper?: Table;
}

export interface Comparison {
  readonly runs: readonly string[];
  readonly sets: readonly ComparedSet[];
  /** Other numbers by name, one a run. */
  readonly numbers: Readonly<Record<string, readonly (number | null)[]>>;
}

/** Runs side by side; differences are paired by the rows' ids. */
export function compared(runs: readonly StoredRun[]): Comparison {
  const keys = [
    ...new Map(
      runs.flatMap(({ sets }) => sets.map(({ set, kind }) => [`${kind} ${set}`, { set, kind }] as const)),
    ).values(),
  ];
  const numbers = [...new Set(runs.flatMap((run) => Object.keys(run.numbers)))];
  return {
    runs: runs.map(({ name }) => name),
    sets: keys.map((key) => comparedSet(runs, key)),
    numbers: Object.fromEntries(numbers.map((name) => [name, runs.map((run) => run.numbers[name] ?? null)])),
  };
}

function comparedSet(runs: readonly StoredRun[], { set, kind }: Pick<SetSummary, 'set' | 'kind'>): ComparedSet {
  const own = runs.map(({ sets }) => sets.find((one) => one.set === set && one.kind === kind));
  const names = [...new Set(own.flatMap((one) => Object.keys(one?.metrics ?? {})))];
  const [first = [], ...others] = runs.map(({ items }) =>
    items.filter((item) => item.set === set && item.kind === kind),
  );
  const paper = paperTable(
    set,
    runs.flatMap(({ name, protocol }, i) => (own[i] ? [{ name, protocol, metrics: own[i].metrics }] : [])),
  );
  return {
    set,
    kind,
    metrics: Object.fromEntries(names.map((name) => [name, own.map((one) => one?.metrics[name] ?? null)])),
    differences: others.map((items, i) => ({ run: runs[i + 1].name, ...paired(first, items) })),
    ...(paper && { paper }),
  };
}

/** Differences `after` − `before` of a set's metrics, on the rows of both. */
export function paired(
  before: readonly StoredItem[],
  after: readonly StoredItem[],
): { rows: number; metrics: Record<string, SetMetric> } {
  const byId = new Map(before.map((item) => [item.id, item]));
  const both = after.flatMap((is) => {
    const was = byId.get(is.id);
    return was ? [{ was, is }] : [];
  });
  if (both.length === 0) return { rows: 0, metrics: {} };
  const [was, is] = [setMeasure(both.map((one) => one.was.values)), setMeasure(both.map((one) => one.is.values))];
  const intervals = bootstrap(
    unitsOf(both.map((one) => one.is.unit)),
    (weights) => {
      const [old, now] = [was(weights), is(weights)];
      return Object.fromEntries(
        Object.keys(now).flatMap((name) => (name in old ? [[name, now[name] - old[name]]] : [])),
      );
    },
    0,
  );
  return {
    rows: both.length,
    metrics: Object.fromEntries(
      Object.entries(intervals).map(([name, interval]) => [name, { ...interval, n: both.length }]),
    ),
  };
}

/** Tables under their headings: of each set its numbers and differences, the paper's rows, then other numbers. */
export function comparisonTables({
  runs,
  sets,
  numbers,
}: Comparison): readonly (readonly [heading: string, table: Table])[] {
  const others = Object.entries(numbers);
  return [
    ...overview(runs, sets).map((table) => ['all sets', table] as const),
    ...sets.flatMap((set) => [
      [set.set, setTable(runs, set)] as const,
      ...(set.paper ? [[`${set.set} beside the paper`, set.paper] as const] : []),
    ]),
    ...(others.length > 0
      ? [
          [
            'other numbers',
            [
              ['', ...runs],
              ...others.map(([name, values]) => [
                name,
                ...values.map((value) => (value === null || Number.isNaN(value) ? '-' : value.toFixed(3))),
              ]),
            ],
          ] as const,
        ]
      : []),
  ];
}

/** The main numbers of every set in one table, where there are several of a kind. */
function overview(runs: readonly string[], sets: readonly ComparedSet[]): Table[] {
  return (['foreground', 'referring'] as const).flatMap((kind) => {
    const same = sets.filter((set) => set.kind === kind);
    if (same.length < 2) return [];
    const lines = same.flatMap((set) =>
      setTable(runs, set)
        .slice(1)
        .map((line) => [set.set, ...line.slice(0, runs.length + 1)]),
    );
    return [[['set', '', ...runs], ...lines]];
  });
}

function setTable(runs: readonly string[], { kind, metrics, differences }: ComparedSet): Table {
  // A metric that any of the runs has.
  const any = Object.fromEntries(
    Object.entries(metrics).map(([name, values]) => [name, values.find((value) => value !== null)!]),
  );
  const lines = headline({ kind, metrics: any }, 'standard').map((name) => [
    `${metricName(name).label}, ${metricName(name).variant}`,
    ...(metrics[name] ?? []).map((value) =>
      value
        ? `${shownValue(name, value.value)} [${shownValue(name, value.low)}, ${shownValue(name, value.high)}]`
        : '-',
    ),
    ...differences.map((difference) => gain(name, difference.metrics[name])),
  ]);
  return [['', ...runs, ...differences.map(({ run, rows }) => `${run} less ${runs[0]}, ${rows} rows`)], ...lines];
}

function gain(name: string, difference: SetMetric | undefined): string {
  if (!difference || Number.isNaN(difference.value)) return '-';
  const sign = difference.value >= 0 ? '+' : '';
  return `${sign}${shownValue(name, difference.value)} [${shownValue(name, difference.low)}, ${shownValue(name, difference.high)}]`;
}
