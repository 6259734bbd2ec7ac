import { PARSE_REASONS, type Completion, type Row, type Scored } from '../../records.js';
import { deviation, mean, rewardNames, rewardsOf, statistics } from '../scoring/statistics.js';

/** Rewards closer than this are equal: the tolerance of `torch.isclose` at 0. */
const ALIKE = 1e-8;

/** Tokens of a step's completions, and of their prompts. */
export interface StepTokens {
  /** A prompt counts once for each of its completions. */
  readonly read: number;
  readonly written: number;
}

export const NO_TOKENS: StepTokens = { read: 0, written: 0 };

/** Metrics of the rows of a step: the means of `statistics`, and spreads, extremes and shares of groups. */
export function stepStatistics(rows: readonly Scored[]): Record<string, number> {
  const completions = rows.flatMap((row) => row.completions);
  const lengths = lengthsOf(completions);
  // 0 without values, as in TRL.
  const ended = lengthsOf(completions.filter(({ finish }) => finish === 'stop'));
  const terminated = ended.length > 0 ? ended : [0];
  return {
    ...statistics(rows),
    reward_std: spread(rows.flatMap(({ rewards }) => rewards.total)),
    ...Object.fromEntries(rewardNames(rows).map((name) => [`rewards/${name}/std`, spread(rewardsOf(rows, name))])),
    frac_reward_zero_std: mean(rows.map(({ rewards }) => (deviation(rewards.total) <= ALIKE ? 1 : 0))),
    'completions/min_length': Math.min(...lengths),
    'completions/max_length': Math.max(...lengths),
    'completions/mean_terminated_length': mean(terminated),
    'completions/min_terminated_length': Math.min(...terminated),
    'completions/max_terminated_length': Math.max(...terminated),
    ...Object.fromEntries(Object.entries(reasonCounts(rows)).map(([reason, count]) => [`parse/${reason}`, count])),
  };
}

/** How many completions of some rows were not read, or lie where nothing is, by reason; in the order of the reasons. */
export function reasonCounts(rows: readonly Pick<Row, 'parseReasons'>[]): Record<string, number> {
  const found = rows.flatMap(({ parseReasons = [] }) => parseReasons);
  return Object.fromEntries(
    PARSE_REASONS.map((reason) => [reason, found.filter((one) => one === reason).length] as const).filter(
      ([, count]) => count > 0,
    ),
  );
}

/** Metric names of a training graph's outputs; others are `policy/NAME`. */
const CALLED: Readonly<Record<string, string>> = {
  loss: 'loss',
  entropy: 'entropy',
  kl: 'kl',
  clipLow: 'clip_ratio/low_mean',
  clipLowMin: 'clip_ratio/low_min',
  clipHigh: 'clip_ratio/high_mean',
  clipHighMax: 'clip_ratio/high_max',
  clip: 'clip_ratio/region_mean',
  capped: 'cispo_clip_ratio',
  gamma: 'vespo/phi_seq_mean',
  apart: 'sampling/sampling_logp_difference/mean',
  apartMax: 'sampling/sampling_logp_difference/max',
  mismatchMin: 'sampling/importance_sampling_ratio/min',
  mismatch: 'sampling/importance_sampling_ratio/mean',
  mismatchMax: 'sampling/importance_sampling_ratio/max',
};

/** Outputs of a policy-gradient graph by metric name; NaN for extremes without values. */
export function graphMetrics(outputs: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, value]) => [
      CALLED[name] ?? `policy/${name}`,
      Number.isFinite(value) ? value : NaN,
    ]),
  );
}

/** The optimizer's metrics of a step, with `leftOut` skipped steps since the one before. */
export function stepTaken(
  norm: number,
  { learningRate }: { readonly learningRate: number },
  leftOut: number,
): Record<string, number> {
  return { grad_norm: norm, learning_rate: learningRate, 'left_out/steps': leftOut };
}

/** Tokens of a group. */
export function tokensOf({ promptTokens, completions }: Pick<Scored, 'promptTokens' | 'completions'>): StepTokens {
  return {
    read: promptTokens.length * completions.length,
    written: lengthsOf(completions).reduce((sum, length) => sum + length, 0),
  };
}

export function addTokens(a: StepTokens, b: StepTokens): StepTokens {
  return { read: a.read + b.read, written: a.written + b.written };
}

function lengthsOf(completions: readonly Completion[]): number[] {
  return completions.map(({ tokens }) => tokens.length);
}

/** Standard deviation; NaN where fewer than two values are known. */
function spread(values: readonly number[]): number {
  return values.filter((value) => !Number.isNaN(value)).length < 2 ? NaN : deviation(values);
}
