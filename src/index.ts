// Rows and their parts.
export type {
  Advantaged,
  Answered,
  Box,
  Candidates,
  Completion,
  Fitted,
  Image,
  ImageSource,
  Mask,
  Masked,
  Point,
  Prompt,
  Prompted,
  PromptObject,
  Question,
  RolledOut,
  Row,
  Sample,
  SamplingOptions,
  SceneKey,
  Scored,
  Size,
  Skipped,
  Thought,
  Updated,
} from './records.js';
export { DataError, ModelError, UsageError } from './errors.js';

// Stages, in stream order.
export { load, type LoadOptions } from './operators/load.js';
export { rollout, type RolloutOptions } from './operators/rollout.js';
export { parse, readPrompt, type ParseOptions } from './operators/parse.js';
export { answer, readAnswer, type BenchmarkReport } from './operators/answer.js';
export { mask, type MaskOptions } from './operators/mask.js';
export { markNonFinite } from './operators/training/finite.js';
export { reward, type RewardFunction, type RewardOptions } from './operators/reward.js';
export { advantage, type AdvantageOptions } from './operators/advantage.js';
export { update, type UpdateContext } from './operators/update.js';
export type { UpdateOptions } from './operators/training/update-options.js';
export { fit, type FitOptions } from './operators/fit.js';
export { think, type ThinkOptions, type Thinker } from './operators/think.js';
export { replay, type ReplayOptions } from './operators/replay.js';
export type { StepTokens } from './operators/training/step-metrics.js';
export { sft, type ReportStep, type SftContext, type SftOptions } from './operators/sft.js';
export { tally, type Tally, type TallyOptions, type TallyReader } from './operators/tally.js';
export { score, type ScoreOptions, type ScoreResult, type Scores, type Scoring } from './operators/score.js';
export type { Scorer } from './operators/scoring/scorer.js';
export { write, type RowSink, type WriteOptions } from './operators/write.js';
export { credits, released, type Credits } from './streams/credits.js';

// Resources of stages.
export {
  imageReader,
  openGrabCut,
  openPolicy,
  openPolicy as openQwen,
  openSam2,
  openScorer,
  type OpenPolicyOptions,
  type OpenPolicyOptions as QwenOptions,
} from './openers.js';
export type { ReaderOptions } from './io/reader.js';
export type { GrabCutOptions } from './models/grabcut/segmenter.js';
export type { Sam2Options } from './models/sam2/segmenter.js';
export {
  defineSegmenter,
  type Inspected,
  type Judged,
  type ReadImage,
  type Segmenter,
  type SegmenterDefinition,
  type SegmentRequest,
} from './models/segmenter.js';
export type { VlmPolicy, VlmPolicy as QwenPolicy } from './models/vlm/policy.js';
export type {
  Coordinates,
  GenerateRequest,
  GradientRequest,
  Loss,
  Policy,
  Randomness,
  Sampling,
  ScoreRequest,
  SupervisedLoss,
} from './models/policy.js';
export { patchMaskHead } from './models/vlm/supervised.js';
export {
  bnpo,
  dapo,
  drGrpo,
  grpo,
  gspo,
  luspo,
  segR1,
  type Clip,
  type Clipping,
} from './objectives/policy-gradient.js';
export { cispo } from './objectives/cispo.js';
export { sapo, type Gate } from './objectives/sapo.js';
export { vespo, type Gamma } from './objectives/vespo.js';
export { compose, type Additions, type Recipe } from './objectives/compose.js';
export type { Average, Objective, Terms, Traced } from './objectives/objective.js';
export type { ObjectiveName, ObjectiveOptions } from './objectives/named.js';
export type { ObjectiveModule, ObjectiveSpec } from './objectives/spec.js';
/** The tensor language, for custom objectives. */
export * as ops from './tensor/ops.js';
export type { Tensor } from './tensor/graph.js';

// Numbers about a mask and its truth.
export { bootstrap, type Interval } from './metrics/bootstrap.js';
export { correctionEffort } from './metrics/correction-effort.js';
export { iou } from './metrics/iou.js';
export { referringScores, type Convention, type ReferringSample, type ReferringScores } from './metrics/referring.js';
export { saliency, type Saliency } from './metrics/saliency.js';
export { overSet } from './metrics/saliency-set.js';
export { structureMeasure } from './metrics/structure-measure.js';
export {
  foregroundOverSet,
  scoreForeground,
  type Foreground,
  type GrayMap,
} from './operators/scoring/score-foreground.js';
export { scoreReferring, type Answer, type ReferringReport } from './operators/scoring/score-referring.js';

// Results of a benchmark, and their comparison.
export { benchmarkResult, type BenchmarkResult } from './metrics/benchmarks/result.js';
export { compareResults, type Comparison } from './metrics/benchmarks/comparison.js';
export { readBenchmark } from './pipelines/store/artifacts.js';

// Rows on disk.
export { openShards, readRows, recoverRows, type Projection, type Reading, type Shards } from './io/arrow/shard.js';
export { rowSchema, type Derived, type RowShape, type StoredRow } from './io/arrow/columns.js';
export { column, type Column, type OwnColumns, type OwnValues } from './io/arrow/own-columns.js';

// Pipelines in YAML, and custom stages for them.
export {
  stage,
  type Adds,
  type Fact,
  type StageContext,
  type StageFacts,
  type StageRow,
  type Refusal,
  type Stage,
  type StageDefinition,
  type PipelineContext,
} from './pipelines/stage.js';
export { readPipeline, type Pipeline, type ReadOptions } from './pipelines/config/read.js';
export type { RewardInput, RewardModule } from './pipelines/stages/reward-modules.js';
export { run, type RunOptions } from './pipelines/run/run.js';
export type { RunEvent, RunListener, Summary } from './pipelines/events.js';
