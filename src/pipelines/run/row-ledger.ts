import type { Row } from '../../records.js';
import type { StageMetrics } from './stage-metrics.js';

/** Distinct reasons counted by stage; the rest are counted together. */
const MOST_REASONS = 50;

/** Rows that entered a run and rows that left it, one by one. */
export interface Ledger {
  readonly rowsIn: number;
  readonly rowsOut: number;
  /** Marked rows by stage and reason. */
  readonly marked: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly marks: number;
  /** Rows marked for a fault of theirs; counted by whoever knows which those are. */
  faults: number;
  /** Rows in flight, in the order in which they entered. */
  readonly inFlight: ReadonlySet<string>;
  /** Tokens of all completions that left. */
  readonly tokens: number;
  /** @throws {Error} if a row of this id is in flight already. */
  enter(row: Row): void;
  /** @throws {Error} if no row of this id is in flight. */
  leave(row: Row): void;
  /** What does not add up now that the stream has ended; undefined where everything that entered has left. */
  missing(gauges: readonly StageMetrics[]): string | undefined;
}

/** What a ledger says once nothing is in flight. */
export type Balance = Pick<Ledger, 'rowsOut' | 'marks' | 'faults' | 'marked' | 'tokens'>;

/** A ledger; of what left before, if anything did. */
export function ledger(before?: Balance): Ledger {
  const inFlight = new Set<string>();
  const marked: Record<string, Record<string, number>> = structuredClone(before?.marked ?? {});
  const mark = (stage: string, reason: string): void => {
    const reasons = (marked[stage] ??= {});
    const key = Object.hasOwn(reasons, reason) || Object.keys(reasons).length < MOST_REASONS ? reason : 'other reasons';
    reasons[key] = (reasons[key] ?? 0) + 1;
    book.marks++;
  };

  const book = {
    rowsIn: before?.rowsOut ?? 0,
    rowsOut: before?.rowsOut ?? 0,
    marks: before?.marks ?? 0,
    faults: before?.faults ?? 0,
    tokens: before?.tokens ?? 0,
    marked,
    inFlight,
    enter({ id }: Row): void {
      if (inFlight.has(id)) throw new Error(`${id}  row: expected an id of its own; got one that is in flight already`);
      inFlight.add(id);
      book.rowsIn++;
    },
    leave({ id, skipped, completions }: Row): void {
      if (!inFlight.delete(id))
        throw new Error(`${id}  row: expected one that is in flight; got a row that never entered, or left before`);
      book.rowsOut++;
      for (const completion of completions ?? []) book.tokens += completion.tokens.length;
      if (skipped) mark(skipped.stage, skipped.reason);
    },
    missing(gauges: readonly StageMetrics[]): string | undefined {
      if (inFlight.size === 0) return undefined;
      const keeper = gauges.find((gauge) => gauge.rowsIn !== gauge.rowsOut);
      const where = keeper ? `; ${keeper.stage} took ${keeper.rowsIn} and gave ${keeper.rowsOut}` : '';
      return `rows: expected ${book.rowsIn} out as went in; got ${book.rowsOut}${where} (${[...inFlight].slice(0, 3).join(', ')})`;
    },
  };
  return book;
}
