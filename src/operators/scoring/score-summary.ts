import { bootstrap, unitsOf, type Interval, type Measure } from '../../metrics/bootstrap.js';
import {
  conventions,
  marks,
  referringCounts,
  referringIou,
  type Convention,
  type ReferringSample,
} from '../../metrics/referring.js';
import { dice } from '../../metrics/overlap.js';
import type { SaliencyCurve } from '../../metrics/saliency.js';
import { scoreForeground, type Foreground } from './score-foreground.js';
import type { Judged } from './score-item.js';

/** One scored prediction. */
export interface ScoredItem {
  readonly id: string;
  /** Name of the set that it belongs to. */
  readonly set: string;
  /** Resampling unit: items of one image depend on each other. */
  readonly unit: string;
  readonly judged: Judged;
  /**
   * Metrics of the completion itself: `answer/unparsed`, `answer/empty`, `completions/mean_length`, where they are
   * known.
   */
  readonly answer: Readonly<Record<string, number>>;
}

/** A metric of a set with its 95 % interval, and the number of items for which it is defined. */
export interface SetMetric extends Interval {
  readonly n: number;
}

export interface SetSummary {
  readonly set: string;
  readonly kind: Judged['kind'];
  /** Items; each counts once, also without a prediction. */
  readonly n: number;
  /** Images, the units of resampling. */
  readonly units: number;
  readonly metrics: Readonly<Record<string, SetMetric>>;
}

/** Values of a row's column `scores`, by name. */
export function itemValues(judged: Judged): Record<string, number> {
  return judged.kind === 'foreground' ? foregroundValues(judged.foreground) : referringValues(judged.sample);
}

/**
 * Scores of each set and kind, in order of first appearance.
 *
 * @param seed of the intervals.
 */
export function summarised(items: readonly ScoredItem[], seed: number): SetSummary[] {
  return unitsOf(items.map(({ set, judged }) => `${judged.kind} ${set}`)).map((positions) =>
    setSummary(
      positions.map((i) => items[i]),
      seed,
    ),
  );
}

function setSummary(items: readonly ScoredItem[], seed: number): SetSummary {
  const { set, judged } = items[0];
  const values = items.map((item) => ({ ...itemValues(item.judged), ...indicators(item.judged), ...item.answer }));
  const units = unitsOf(items.map(({ unit }) => unit));
  const intervals = bootstrap(
    units,
    together(
      setMeasure(values),
      curveMaxima(items.flatMap((item) => (item.judged.kind === 'foreground' ? [item.judged.foreground] : []))),
    ),
    seed,
  );
  const order = Object.keys(values[0] ?? {});
  const place = (name: string): number => (order.includes(name) ? order.indexOf(name) : order.length);
  const metrics = Object.entries(intervals)
    .toSorted(([a], [b]) => place(a) - place(b))
    .map(([name, interval]) => {
      const own = values.map((value) => value[name]).filter((value) => value !== undefined);
      return [
        name,
        { ...interval, n: own.length === 0 ? items.length : own.filter((value) => !Number.isNaN(value)).length },
      ] as const;
    });
  return { set, kind: judged.kind, n: items.length, units: units.length, metrics: Object.fromEntries(metrics) };
}

/**
 * Aggregates items' values: means without NaN, and from `X/intersection` and `X/union` the quotient of their sums,
 * `X/cIoU`. An item's `max` is excluded: that of a set is of the averaged curve.
 */
export function setMeasure(values: readonly Readonly<Record<string, number>>[]): Measure {
  const names = [...new Set(values.flatMap((value) => Object.keys(value)))].filter((name) => !name.endsWith('/max'));
  const columns = new Map(names.map((name) => [name, Float64Array.from(values, (value) => value[name] ?? NaN)]));
  const pooled = names.flatMap((name) =>
    name.endsWith('/intersection') ? [name.slice(0, -'/intersection'.length)] : [],
  );
  const averaged = names.filter((name) => !/\/(intersection|union)$/.test(name));
  return (weights) => ({
    ...Object.fromEntries(averaged.map((name) => [name, weightedMean(columns.get(name) as Float64Array, weights)])),
    ...Object.fromEntries(
      pooled.map((name) => [
        `${name}/cIoU`,
        quotient(
          columns.get(`${name}/intersection`) as Float64Array,
          columns.get(`${name}/union`) as Float64Array,
          weights,
        ),
      ]),
    ),
  });
}

/** The highest point of each curve of the set, which is averaged threshold by threshold. */
function curveMaxima(images: readonly Foreground[]): Measure {
  const names = Object.keys(images[0]?.curves ?? {}) as SaliencyCurve[];
  const curves = names.map(
    (name) => [`${name}/max`, distinctPoints(images.map((image) => image.curves[name]))] as const,
  );
  return (weights) => Object.fromEntries(curves.map(([name, points]) => [name, highest(points, weights)]));
}

/** [curve × point] without points at which no curve changes: for hard masks 2 of 256 remain. */
function distinctPoints(curves: readonly Float64Array[]): Float64Array {
  const kept = Array.from({ length: 256 }, (_, t) => t).filter(
    (t) => t === 0 || curves.some((curve) => curve[t] !== curve[t - 1]),
  );
  return Float64Array.from(curves.flatMap((curve) => kept.map((t) => curve[t])));
}

function highest(points: Float64Array, weights: Float64Array): number {
  const each = points.length / weights.length;
  const sums = new Float64Array(each);
  let total = 0;
  for (let i = 0, from = 0; i < weights.length; i++, from += each) {
    const weight = weights[i];
    if (weight === 0) continue;
    total += weight;
    for (let t = 0; t < each; t++) sums[t] += weight * points[from + t];
  }
  return Math.max(...sums) / total;
}

function together(...measures: readonly Measure[]): Measure {
  return (weights) => Object.assign({}, ...measures.map((measure) => measure(weights))) as Record<string, number>;
}

function weightedMean(values: Float64Array, weights: Float64Array): number {
  let [sum, total] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (Number.isNaN(value)) continue;
    sum += weights[i] * value;
    total += weights[i];
  }
  return sum / total;
}

/** 0 for a zero denominator, as for cIoU of empty masks. */
function quotient(over: Float64Array, under: Float64Array, weights: Float64Array): number {
  let [above, below] = [0, 0];
  for (let i = 0; i < over.length; i++) {
    above += weights[i] * over[i];
    below += weights[i] * under[i];
  }
  return below === 0 ? 0 : above / below;
}

function foregroundValues({ values, correctionEffort, half }: Foreground): Record<string, number> {
  return {
    ...values,
    correctionEffort,
    'half/intersection': half.hits,
    'half/union': half.objectPixels + half.falseAlarms,
  };
}

function referringValues(sample: ReferringSample): Record<string, number> {
  const each = everyConvention.flatMap((name) => {
    const { hits, union } = referringCounts(sample, name);
    return [
      [`${name}/iou`, referringIou(sample, name)] as const,
      [`${name}/intersection`, hits] as const,
      [`${name}/union`, union] as const,
    ];
  });
  return { ...Object.fromEntries(each), dice: dice(sample.whole) };
}

/** Indicators of an item for shares of a set: 1, 0, or NaN if the item does not count. */
function indicators(judged: Judged): Record<string, number> {
  if (judged.kind === 'foreground') return {};
  return Object.fromEntries(
    everyConvention.flatMap((name) => {
      const { target, refused } = referringCounts(judged.sample, name);
      const iou = referringIou(judged.sample, name);
      const present = (holds: boolean): number => (target === 0 ? NaN : Number(holds));
      return [
        ...marks.map((mark) => [`${name}/Pr@${mark}`, present(iou >= Number(mark))] as const),
        [`${name}/T-acc`, present(!refused)] as const,
        [`${name}/N-acc`, target === 0 ? Number(refused) : NaN] as const,
      ];
    }),
  );
}

const everyConvention = Object.keys(conventions) as Convention[];

const pixel = { width: 1, height: 1 };
const nothing = { hits: 0, falseAlarms: 0, objectPixels: 0, pixels: 1 };

/** Every name that `itemValues` may give. */
export const scoreNames: readonly string[] = [
  ...Object.keys(foregroundValues(scoreForeground(null, { ...pixel, data: new Uint8Array(1) }))),
  ...Object.keys(referringValues({ whole: nothing, heeded: nothing })),
];
