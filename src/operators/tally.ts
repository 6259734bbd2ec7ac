import { concat, defer, ignoreElements, map, tap, type OperatorFunction } from 'rxjs';
import { z } from 'zod';

import { defined } from '../defined.js';
import type { ReadImage, Segmenter } from '../models/segmenter.js';
import type { Sample, Scored } from '../records.js';
import { constantPrompts, type Constant } from './scoring/constants.js';
import { orMarked, pixelsOf } from './faults.js';
import { nonFinite } from './training/finite.js';
import { gallery, panelOf, type Panel } from './scoring/gallery.js';
import { inOrder } from '../streams/in-order.js';
import { masksOf } from './mask.js';
import { RewardOptions, weightedSum } from './reward.js';
import { builtInRewards, type Judged } from './rewards/parts.js';
import { mean, statistics } from './scoring/statistics.js';
import { constantsOf, tallyBook, type Tally, type TallyState, type Tried } from './scoring/tally-book.js';

export type { Tally } from './scoring/tally-book.js';

export const TallyOptions = z.strictObject({
  /** Constant baseline: fixed completions are tried on this many of the first rows with ground truth. */
  constantBaseline: z.int().min(0).default(64),
  /** Shuffled-image baseline: whether each completion is also scored on the row before. */
  shuffledImageBaseline: z.boolean().default(false),
  /** Overlays of this many best, worst and random rows each; 0 for none. */
  overlays: z.int().min(0).default(0),
});
export type TallyOptions = z.input<typeof TallyOptions>;

/** Receives the metrics of rows. */
export interface TallyReader {
  /** A row's own values, by metric name. */
  row?(id: string, values: Readonly<Record<string, number>>): void;
  /** The fixed completions, once they were tried on enough rows. */
  constants?(constants: readonly Constant[]): void;
  /** Called once, after the last row. */
  done(tally: Tally): void;
  overlays(panels: readonly Panel[]): Promise<void>;
}

/** State of a tally across resumed runs. */
export interface TallyMemory {
  /** Registers the function that returns the state without the `pending` rows; returns the initial state, if any. */
  remember(keep: (pending: ReadonlySet<string>) => unknown): unknown;
  /** Most rows that may come again, without marked ones: the credit window. */
  readonly window: number;
}

/** What `tally` works with. */
export interface TallyContext {
  readonly segmenter: Segmenter;
  readonly readImage: ReadImage;
  /** The options of `reward`; baselines earn only its built-in parts. */
  readonly rewards: RewardOptions;
  readonly reader: TallyReader;
  readonly memory?: TallyMemory | undefined;
}

const FORGETFUL: TallyMemory = { remember: () => undefined, window: 0 };

/**
 * Summarizes rows, passes them on unchanged and in order, and reports after the last one. Keeps numbers, and only the
 * rows that it will draw. A row with an unreadable image is marked.
 *
 * @throws {ModelError} if the segmenter rejects; the stream errors.
 */
export function tally<T extends Scored>(
  { segmenter, readImage, rewards, reader, memory = FORGETFUL }: TallyContext,
  options: TallyOptions = {},
): OperatorFunction<T, T> {
  const checked = TallyOptions.parse(options);
  const scoring = RewardOptions.parse(rewards);
  const earn: Earn = async (on, answers) => {
    const masks = await masksOf(answers.prompts, '', async (asked) =>
      segmenter.segment({ image: await pixelsOf(readImage, on, segmenter), prompts: asked, frame: on.frame }),
    );
    return weightedSum(
      builtInRewards({ ...answers, masks, ...defined({ truth: on.truth }) }, scoring),
      scoring.weights,
    );
  };

  return (rows) =>
    defer(() => {
      // The state was returned by the line below, in an earlier run.
      const state = memory.remember((pending) => ({ ...book.kept(pending), before: judge.before(pending) })) as
        | TallyState
        | undefined;
      const judge = judging(earn, checked, memory.window, state);
      const book = counting(reader, checked, memory.window, state);
      const judged = async (row: T): Promise<{ row: T; verdict: Verdict }> => {
        let verdict: Verdict = {};
        const passed = await orMarked('tally', row, async () => {
          verdict = await judge.judge(row);
          return row;
        });
        return { row: passed, verdict };
      };
      const counted = rows.pipe(
        inOrder(judged, INFLIGHT),
        tap(({ row, verdict }) => book.count(row, verdict)),
        map(({ row }) => row),
      );
      return concat(counted, defer(() => book.tell(readImage)).pipe(ignoreElements()));
    });
}

/** Rows scored at once; they are counted in order. */
const INFLIGHT = 2;

/** Rewards of baselines on a row. */
type Earn = (on: Sample, answers: Omit<Judged, 'masks' | 'truth'>) => Promise<number[]>;

/** Additional masks for a row's baselines. */
interface Verdict {
  /** Rewards of the fixed completions. */
  readonly fixed?: readonly number[];
  /** Reward of the row's completions on the row before. */
  readonly elsewhere?: number;
}

/**
 * Decides synchronously, in call order, which rows are tried and which row comes before. The last `window` rows may
 * come again.
 */
function judging(
  earn: Earn,
  { constantBaseline, shuffledImageBaseline }: z.output<typeof TallyOptions>,
  window: number,
  state?: TallyState,
) {
  let before = state?.before;
  const judged: { readonly id: string; readonly before: Sample | undefined }[] = [];
  let untried = constantBaseline - (state?.tried.length ?? 0);
  return {
    /** The row before the first one that will come again, or else before the next one. */
    before(pending: ReadonlySet<string>): Sample | undefined {
      const first = judged.find(({ id }) => pending.has(id));
      return first ? first.before : before;
    },
    async judge(row: Scored): Promise<Verdict> {
      const other = shuffledImageBaseline ? before : undefined;
      judged.push({ id: row.id, before });
      if (judged.length > window) judged.shift();
      const isTried = row.truth !== undefined && untried > 0;
      if (isTried) untried--;
      if (row.truth)
        before = {
          id: row.id,
          image: row.image,
          truth: row.truth,
          task: row.task,
          frame: row.frame,
          original: row.original,
        };
      const prompts = constantPrompts(row.frame);
      const fixed = isTried ? await earn(row, { prompts, formats: prompts.map(() => 1) }) : undefined;
      const elsewhere =
        other && mean(await earn(other, { prompts: row.prompts, formats: row.formats, completions: row.completions }));
      return { ...defined({ fixed, elsewhere }) };
    },
  };
}

/** The stage that keeps a row from being counted: the one that marked it, or `reward` for a non-finite reward. */
function uncounted(row: Scored): string | undefined {
  return row.skipped ? row.skipped.stage : nonFinite(row) && 'reward';
}

/** Counts and reports rows as they pass. The last `window` of them are not summed yet: they may come again. */
function counting(
  reader: TallyReader,
  { constantBaseline, shuffledImageBaseline, overlays }: z.output<typeof TallyOptions>,
  window: number,
  state?: TallyState,
) {
  const book = tallyBook(state);
  const shown = gallery(overlays, state?.shown);
  const tried: Tried[] = [...(state?.tried ?? [])];
  let waiting: { readonly row: Scored; readonly values: Readonly<Record<string, number>> }[] = [];
  const sumUp = (rows: typeof waiting): void => {
    for (const { row, values } of rows) {
      const without = uncounted(row);
      if (without !== undefined) {
        book.mark(without);
        continue;
      }
      book.add(values);
      shown.add(row, mean(row.rewards.total));
    }
  };
  const tellConstants = (): void => {
    if (constantBaseline > 0 && tried.length === constantBaseline) reader.constants?.(constantsOf(tried));
  };
  tellConstants();
  return {
    count(row: Scored, { fixed, elsewhere = NaN }: Verdict): void {
      const values =
        uncounted(row) !== undefined
          ? {}
          : { ...statistics([row]), ...(shuffledImageBaseline && { 'baseline/another_scene': elsewhere }) };
      waiting.push({ row, values });
      // Marked rows overtake others, so each kind is in its own order.
      const alike = waiting.filter((one) => (one.row.skipped === undefined) === (row.skipped === undefined));
      if (alike.length > window) sumUp(waiting.splice(waiting.indexOf(alike[0]), 1));
      if (row.skipped) return;
      if (fixed) {
        tried.push({ id: row.id, frame: row.frame, rewards: fixed });
        tellConstants();
      }
      if (uncounted(row) === undefined) reader.row?.(row.id, values);
    },
    kept(pending: ReadonlySet<string>): Omit<TallyState, 'before'> {
      sumUp(waiting.filter(({ row }) => !pending.has(row.id)));
      waiting = waiting.filter(({ row }) => pending.has(row.id));
      return { ...book.kept(), tried: tried.filter(({ id }) => !pending.has(id)), shown: shown.kept() };
    },
    async tell(readImage: ReadImage): Promise<void> {
      sumUp(waiting.splice(0));
      const panels: Panel[] = [];
      for (const { name, exhibit } of shown.chosen()) panels.push(await panelOf(readImage, name, exhibit));
      if (panels.length > 0) await reader.overlays(panels);
      reader.done(book.tally(constantsOf(tried)));
    },
  };
}
