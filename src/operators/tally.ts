import { concat, defer, ignoreElements, map, tap, type OperatorFunction } from 'rxjs';
import { z } from 'zod';

import type { ReadImage, Segmenter } from '../models/segmenter.js';
import type { Sample, Scored } from '../records.js';
import { constantBook, constantPrompts, type Constant } from './constants.js';
import { estimator, type Estimate, type Estimator } from './estimate.js';
import { orMarked, pixelsOf } from './faults.js';
import { gallery, panelOf, type Panel } from './gallery.js';
import { inOrder } from './in-order.js';
import { masksOf } from './mask.js';
import { RewardOptions, weightedSum } from './reward.js';
import { builtInRewards, type Judged } from './rewards/parts.js';
import { mean, statistics } from './statistics.js';

export const TallyOptions = z.strictObject({
  /** First rows with a truth on which fixed answers are tried: what is earned without looking. */
  constants: z.int().min(0).default(64),
  /** Whether each answer is judged on the row before as well: what the same answers earn without looking. */
  anotherScene: z.boolean().default(false),
  /** Rows drawn of the best, of the worst, and at random; 0 draws none. */
  overlays: z.int().min(0).default(0),
});
export type TallyOptions = z.input<typeof TallyOptions>;

/** What some rows came to. */
export interface Tally {
  /** Rows that were counted. */
  readonly rows: number;
  /** Rows that were not, by the stage that marked them. */
  readonly marked: Readonly<Record<string, number>>;
  /** By the names of `statistics`, and `baseline/anotherScene`; a row counts once, with the mean over its completions. */
  readonly metrics: Readonly<Record<string, Estimate>>;
  readonly constants: readonly Constant[];
}

/** Who is told what rows come to. */
export interface TallyReader {
  /** A row's own values, under the names that the tally's metrics have. */
  row?(id: string, values: Readonly<Record<string, number>>): void;
  /** The fixed answers, once they were tried on as many rows as were asked for. */
  constants?(constants: readonly Constant[]): void;
  /** Called once, when the last row has passed. */
  done(tally: Tally): void;
  overlays(panels: readonly Panel[]): Promise<void>;
}

/**
 * Counts what rows come to, and passes them on as they are, in their order; tells when they have all come.
 *
 * Keeps numbers, and of rows only those that it is to draw. A row whose image can't be read is marked.
 *
 * @param rewards what `reward` was told; answers beside the row's own earn its built-in parts alone.
 * @throws {ModelError} what the segmenter rejects with errors the stream.
 */
export function tally<T extends Scored>(
  segmenter: Segmenter,
  readImage: ReadImage,
  rewards: RewardOptions,
  reader: TallyReader,
  options: TallyOptions = {},
): OperatorFunction<T, T> {
  const checked = TallyOptions.parse(options);
  const scoring = RewardOptions.parse(rewards);
  const earn: Earn = async (on, answers) => {
    const masks = await masksOf(answers.prompts, '', async (asked) => segmenter.segment(await pixelsOf(readImage, on), asked, on.frame));
    return weightedSum(builtInRewards({ ...answers, masks, ...(on.truth && { truth: on.truth }) }, scoring), scoring.weights);
  };

  return (rows) =>
    defer(() => {
      const judge = judging(earn, checked);
      const judged = async (row: T): Promise<{ row: T; verdict: Verdict }> => {
        let verdict: Verdict = {};
        const passed = await orMarked('tally', row, async () => {
          verdict = await judge(row);
          return row;
        });
        return { row: passed, verdict };
      };
      const book = counting(reader, checked);
      const counted = rows.pipe(inOrder(judged, INFLIGHT), tap(({ row, verdict }) => book.count(row, verdict)), map(({ row }) => row));
      return concat(counted, defer(() => book.tell(readImage)).pipe(ignoreElements()));
    });
}

/** Rows judged at once; they are counted in their order all the same. */
const INFLIGHT = 2;

/** Rewards that answers earn on a row. */
type Earn = (on: Sample, answers: Omit<Judged, 'masks' | 'truth'>) => Promise<number[]>;

/** What had to be cut for a row, beside its own masks. */
interface Verdict {
  /** Rewards of the constant answers. */
  readonly fixed?: readonly number[];
  /** Reward of the row's answers on the row before. */
  readonly elsewhere?: number;
}

/** Decides at once, in the order of the calls, which rows are tried and which row comes before. */
function judging(earn: Earn, { constants, anotherScene }: z.output<typeof TallyOptions>): (row: Scored) => Promise<Verdict> {
  let before: Sample | undefined;
  let untried = constants;
  return async (row) => {
    const other = anotherScene ? before : undefined;
    const isTried = row.truth !== undefined && untried > 0;
    if (isTried) untried--;
    if (row.truth) before = { id: row.id, image: row.image, truth: row.truth, task: row.task, frame: row.frame, original: row.original };
    const prompts = constantPrompts(row.frame);
    const fixed = isTried ? await earn(row, { prompts, formats: prompts.map(() => 1) }) : undefined;
    const elsewhere = other && mean(await earn(other, { prompts: row.prompts, formats: row.formats, completions: row.completions }));
    return { ...(fixed && { fixed }), ...(elsewhere !== undefined && { elsewhere }) };
  };
}

/** Counts rows as they pass, and tells the reader. */
function counting(reader: TallyReader, { constants, anotherScene, overlays }: z.output<typeof TallyOptions>) {
  const book = tallyBook();
  const fixed = constantBook();
  const shown = gallery(overlays);
  return {
    count(row: Scored, { fixed: tried, elsewhere = NaN }: Verdict): void {
      if (row.skipped) return book.mark(row.skipped.stage);
      if (tried) fixed.add(row.frame, tried);
      if (tried && fixed.rows === constants) reader.constants?.(fixed.constants());
      const values = { ...statistics([row]), ...(anotherScene && { 'baseline/anotherScene': elsewhere }) };
      book.add(values);
      shown.add(row, mean(row.rewards.total));
      reader.row?.(row.id, values);
    },
    async tell(readImage: ReadImage): Promise<void> {
      const panels: Panel[] = [];
      for (const { name, exhibit } of shown.chosen()) panels.push(await panelOf(readImage, name, exhibit));
      if (panels.length > 0) await reader.overlays(panels);
      reader.done(book.tally(fixed.constants()));
    },
  };
}

/** Sums of rows by name, without the rows. */
function tallyBook(): { add(values: Readonly<Record<string, number>>): void; mark(stage: string): void; tally(constants: readonly Constant[]): Tally } {
  const sums = new Map<string, Estimator>();
  const marked: Record<string, number> = {};
  let rows = 0;
  const sumOf = (name: string): Estimator => {
    const sum = sums.get(name) ?? estimator();
    sums.set(name, sum);
    return sum;
  };
  return {
    add(values) {
      rows++;
      for (const [name, value] of Object.entries(values)) sumOf(name).add(value);
    },
    mark: (stage) => void (marked[stage] = (marked[stage] ?? 0) + 1),
    tally: (constants) => ({ rows, marked, metrics: Object.fromEntries([...sums].map(([name, sum]) => [name, sum.estimate()])), constants }),
  };
}
