import type { Row } from '../../records.js';
import type { RunState } from '../store/checkpoint-state.js';
import { reasonKind } from './reason-kind.js';
import type { StageMetrics } from './stage-metrics.js';

/** Distinct reasons counted by stage; the rest are counted together. */
const MOST_REASONS = 50;

/** State of a row that the tracker follows. */
export type RowState =
  /** Was in flight at the checkpoint from which the run resumed, and has not entered again yet. */
  | 'pending'
  | 'in flight'
  /** In flight, and a checkpoint waits until it has left. */
  | 'awaited';

/** What is counted of a row that leaves. */
type Leaving = Pick<Row, 'id' | 'skipped' | 'completions' | 'parseReasons'> & Partial<Pick<Row, 'image' | 'truthPath'>>;

/** Counts of rows that left, for a checkpoint. */
export type RowCounts = RunState['rows'];

/**
 * Follows each row from the source until it has left, and counts those that left.
 *
 *     pending ─┐
 *              ├─ enter ─▶ in flight ─ await ─▶ awaited ─ leave ─▶ left, and marked where it was skipped
 *      (new) ──┘               └───────── leave ──────────────────▶ left
 *
 * Who owns what: the credit window (`streams/credits`) counts permits and knows no rows; `StageMetrics` counts and
 * times
 * what passes each stage, for people; only the tracker knows rows by id, and a checkpoint asks nobody else.
 *
 * Example, with a window of three and steps of two rows:
 *
 *     enter a, b, c      cursor 3, in flight a b c
 *     step on a, b       await a b
 *     leave a            awaiting 1
 *     leave b            awaiting 0: the checkpoint is { cursor: 3, pending: [c] }
 *     enter d            cursor 4; the run is broken off here
 *
 *     resumed            cursor 3, pending c
 *     enter c            cursor 3, for the first run had counted it; in flight c
 *     enter d            cursor 4, in flight c d
 */
export class RowTracker {
  readonly #rows = new Map<string, RowState>();
  readonly #marked: Record<string, Record<string, number>>;
  #cursor: number;
  #awaiting = 0;
  #rowsIn: number;
  #rowsOut: number;
  #marks: number;
  #faults: number;
  #tokens: number;
  readonly #unread: Record<string, number>;

  /** @param before the checkpoint from which the run resumes. */
  constructor(before?: Pick<RunState, 'source' | 'rows'>) {
    for (const id of before?.source.pending ?? []) this.#rows.set(id, 'pending');
    this.#cursor = before?.source.cursor ?? 0;
    this.#marked = structuredClone(before?.rows.marked ?? {});
    this.#rowsIn = this.#rowsOut = before?.rows.rowsOut ?? 0;
    this.#marks = before?.rows.marks ?? 0;
    this.#faults = before?.rows.faults ?? 0;
    this.#tokens = before?.rows.tokens ?? 0;
    this.#unread = { ...before?.rows.unread };
  }

  get rowsIn(): number {
    return this.#rowsIn;
  }
  get rowsOut(): number {
    return this.#rowsOut;
  }
  get marks(): number {
    return this.#marks;
  }
  /** Tokens of all completions that left. */
  get tokens(): number {
    return this.#tokens;
  }
  /** Completions that were not read, or lie where nothing is, by reason. */
  get unread(): Readonly<Record<string, number>> {
    return this.#unread;
  }
  /** Marked rows by stage and reason, without the files of single rows. */
  get marked(): Readonly<Record<string, Readonly<Record<string, number>>>> {
    return this.#marked;
  }
  /** Rows that must leave before a checkpoint can be written. */
  get awaiting(): number {
    return this.#awaiting;
  }

  /** Undefined where the row has left, or was never seen. */
  stateOf(id: string): RowState | undefined {
    return this.#rows.get(id);
  }

  /** @throws {Error} if a row of this id is in flight already. */
  enter({ id }: Pick<Row, 'id'>): void {
    const before = this.#rows.get(id);
    if (before !== undefined && before !== 'pending')
      throw new Error(`${id}  row: expected an id of its own; got one that is in flight already`);
    // After those that entered before it.
    this.#rows.delete(id);
    this.#rows.set(id, 'in flight');
    if (before === undefined) this.#cursor++;
    this.#rowsIn++;
  }

  /** A checkpoint waits for those of these rows that are in flight. */
  awaitRows(ids: readonly string[]): void {
    for (const id of ids) {
      if (this.#rows.get(id) !== 'in flight') continue;
      this.#rows.set(id, 'awaited');
      this.#awaiting++;
    }
  }

  /** @throws {Error} if no row of this id is in flight. */
  leave(row: Leaving): void {
    const { id, skipped, completions, parseReasons = [] } = row;
    const before = this.#rows.get(id);
    if (before === undefined || before === 'pending')
      throw new Error(`${id}  row: expected one that is in flight; got a row that never entered, or left before`);
    this.#rows.delete(id);
    if (before === 'awaited') this.#awaiting--;
    this.#rowsOut++;
    for (const completion of completions ?? []) this.#tokens += completion.tokens.length;
    for (const reason of parseReasons) if (reason) this.#unread[reason] = (this.#unread[reason] ?? 0) + 1;
    if (skipped) this.#mark(skipped.stage, reasonKind(skipped.reason, row));
  }

  /**
   * Counts a row with faulty data.
   *
   * @returns the count so far.
   */
  countFault(): number {
    return ++this.#faults;
  }

  /** Where the run would resume: how many rows the source has emitted, and which of them have not left. */
  get source(): RunState['source'] {
    return { cursor: this.#cursor, pending: [...this.#pending(), ...this.#inFlight()] };
  }

  /** What has left by now. */
  get counts(): RowCounts {
    return {
      rowsOut: this.#rowsOut,
      marks: this.#marks,
      faults: this.#faults,
      tokens: this.#tokens,
      unread: { ...this.#unread },
      marked: structuredClone(this.#marked),
    };
  }

  /** The error after the stream has ended; undefined if every row that entered has left. */
  missing(stages: readonly StageMetrics[]): string | undefined {
    const inFlight = this.#inFlight();
    if (inFlight.length === 0) return undefined;
    const keeper = stages.find(({ rowsIn, rowsOut }) => rowsIn !== rowsOut);
    const where = keeper ? `; ${keeper.stage} took ${keeper.rowsIn} and gave ${keeper.rowsOut}` : '';
    return `rows: expected ${this.#rowsIn} out as went in; got ${this.#rowsOut}${where} (${inFlight.slice(0, 3).join(', ')})`;
  }

  #pending(): string[] {
    return [...this.#rows].flatMap(([id, state]) => (state === 'pending' ? [id] : []));
  }

  #inFlight(): string[] {
    return [...this.#rows].flatMap(([id, state]) => (state === 'pending' ? [] : [id]));
  }

  #mark(stage: string, reason: string): void {
    const reasons = (this.#marked[stage] ??= {});
    const key = Object.hasOwn(reasons, reason) || Object.keys(reasons).length < MOST_REASONS ? reason : 'other reasons';
    reasons[key] = (reasons[key] ?? 0) + 1;
    this.#marks++;
  }
}
