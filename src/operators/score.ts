import { concat, defer, ignoreElements, map, tap, type OperatorFunction } from 'rxjs';
import { z } from 'zod';

import { defined } from '../defined.js';
import { DataError } from '../errors.js';
import { maskArea } from '../io/mask.js';
import { readTruth } from '../io/truth.js';
import type { ReadImage } from '../models/segmenter.js';
import type { Mask, Masked, Measured, Size } from '../records.js';
import { readPrompt } from './parse.js';
import { orMarked } from './faults.js';
import { gallery, panelOf, type Panel } from './scoring/gallery.js';
import { inOrder } from '../streams/in-order.js';
import { defectsOf, type Protocol } from './scoring/protocol.js';
import type { Judged, ScoreJob } from './scoring/score-item.js';
import { itemValues, summarised, type ScoredItem, type SetSummary } from './scoring/score-summary.js';
import type { Scorer } from './scoring/scorer.js';

export const ScoreOptions = z.strictObject({
  /** Overlays of this many best, worst and random rows each; 0 for none. */
  overlays: z.int().min(0).default(4),
});
export type ScoreOptions = z.input<typeof ScoreOptions>;

/** What is scored, and how. */
export interface Scoring {
  /** Name of the set that rows come from. */
  readonly set: string;
  readonly protocol: Protocol;
  /** Key of the intervals' draws. */
  readonly seed: number;
}

/** The scores of all rows, set by set. */
export interface Scores {
  readonly protocol: Protocol;
  /** Where the protocol differs from scoring every item once by its own prediction. */
  readonly defects: readonly string[];
  /** Marked rows, which are in no score. */
  readonly unscored: number;
  readonly sets: readonly SetSummary[];
}

/** The result after the last row. */
export interface ScoreResult {
  readonly scores: Scores;
  /** In the order of rows. */
  readonly items: readonly ScoredItem[];
  readonly panels: readonly Panel[];
}

/** What `score` works with. */
export interface ScoreContext {
  readonly scorer: Scorer;
  readonly readImage: ReadImage;
  readonly scoring: Scoring;
  /** Called once the last row has passed. */
  readonly done: (result: ScoreResult) => Promise<void>;
}

/**
 * Adds `scores`: the metrics of each row's first mask against the ground truth, at the ground truth's stored size. A
 * missing or unreadable completion counts as an empty mask. Expressions (`referring`, `reason-…`) are scored by the
 * conventions of `referring.ts`, everything else by the saliency metrics. A row whose ground truth can't be read again
 * is marked.
 */
export function score<T extends Masked>(
  { scorer, readImage, scoring, done }: ScoreContext,
  options: ScoreOptions = {},
): OperatorFunction<T, T & Measured> {
  const { overlays } = ScoreOptions.parse(options);
  return (rows) =>
    defer(() => {
      const answerOf = answering(scoring.protocol);
      const book = counting(scoring, overlays);
      const scored = async (row: T): Promise<{ row: T & Measured; judged?: Judged }> => {
        let judged: Judged | undefined;
        const passed = await orMarked('score', row, async () => {
          judged = await scorer.score({ ...answerOf(row), ...(await truthOf(row)) });
          return { ...row, scores: itemValues(judged) };
        });
        return { row: passed, ...defined({ judged }) };
      };
      const counted = rows.pipe(
        inOrder(scored, scorer.threads * 2),
        tap(({ row, judged }) => book.count(row, judged)),
        map(({ row }) => row),
      );
      return concat(counted, defer(async () => done(await book.result(readImage))).pipe(ignoreElements()));
    });
}

/** The mask of a row that is scored; with `legacy` a missing foreground mask repeats the one before. */
function answering(protocol: Protocol): (row: Masked) => Pick<ScoreJob, 'kind' | 'predicted'> {
  let before: { mask: Mask; stored: Size } | null = null;
  return ({ id, task, masks, original, frame, truthPath }) => {
    const [mask = null] = masks;
    const predicted = mask && { mask, stored: truthPath === undefined ? frame : original };
    if (isReferring(task)) return { kind: 'referring', predicted };
    if (protocol !== 'legacy') return { kind: 'foreground', predicted };
    before = predicted ?? before;
    if (before === null)
      throw new DataError(`${id}  answer: expected one for the first image; got none; way out: protocol: standard`);
    return { kind: 'foreground', predicted: before };
  };
}

/** Pictures are decoded in the scoring thread; annotations are drawn here, where their file is cached. */
async function truthOf({ id, task, truth, truthPath, original }: Masked): Promise<Pick<ScoreJob, 'truth' | 'ignore'>> {
  if (truthPath === undefined) {
    if (!truth) throw new DataError(`${id}  truth: expected a mask to score by; got nothing`);
    return { truth: { mask: truth } };
  }
  if (!/\.json(#|$)/i.test(truthPath)) return { truth: { path: truthPath } };
  const { mask, ignore } = await readTruth(truthPath, original, original);
  return { truth: { mask }, ...(ignore && isReferring(task) && { ignore }) };
}

/** Keeps numbers, and only the rows that it will draw. */
function counting({ set, protocol, seed }: Scoring, overlays: number) {
  const items: ScoredItem[] = [];
  const shown = gallery(overlays);
  const tasks = new Set<string>();
  let unscored = 0;
  return {
    count(row: Masked & Partial<Measured>, judged: Judged | undefined): void {
      if (!judged) return void unscored++;
      items.push({ id: row.id, set: row.set ?? set, unit: unitOf(row), judged, answer: aboutAnswer(row) });
      tasks.add(row.task);
      shown.add(row, worthOf(judged));
    },
    async result(readImage: ReadImage): Promise<ScoreResult> {
      const panels: Panel[] = [];
      for (const { name, exhibit } of shown.chosen()) panels.push(await panelOf(readImage, name, exhibit));
      return {
        scores: {
          protocol,
          defects: protocol === 'legacy' ? defectsOf(tasks) : [],
          unscored,
          sets: summarised(items, seed),
        },
        items,
        panels,
      };
    },
  };
}

function aboutAnswer({ prompts, masks, completions, formats, frame }: Masked): Record<string, number> {
  const [mask = null] = masks;
  const strict = readPrompt(completions[0]?.text ?? '', frame)?.objects.length ?? formats[0] ?? 0;
  return {
    'answer/unparsed': prompts[0] ? 0 : 1,
    'answer/repaired': (prompts[0]?.objects.length ?? 0) > strict ? 1 : 0,
    'answer/empty': mask === null || maskArea(mask) === 0 ? 1 : 0,
    'completions/mean_length': completions[0]?.tokens.length ?? NaN,
  };
}

/** Items of one image are drawn together. */
function unitOf({ id, image }: Masked): string {
  return 'path' in image ? image.path : id;
}

/** The value by which rows are ranked: the S-measure, or the IoU without ignored pixels. */
function worthOf(judged: Judged): number {
  return judged.kind === 'foreground' ? judged.foreground.values.structure : itemValues(judged)['lisa/iou'];
}

function isReferring(task: string): boolean {
  return task === 'referring' || task.startsWith('reason-');
}
