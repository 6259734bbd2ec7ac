/** What a checked pipeline would do: rows, steps, memory and work, as far as they are known before. */
import { defined } from '../../defined.js';
import { ModelError } from '../../errors.js';
import { policyWork, segmenterWork, type PromptWork } from '../../models/estimate.js';
import { pipelineContext, type PipelineContext } from '../stage.js';
import type { Pipeline } from './read.js';
import { useOf } from './room.js';

/** What a run would be. */
export interface Plan {
  /** What the source takes, by name. */
  readonly counts: Readonly<Record<string, number>>;
  /** Rows, epochs included; undefined where the source doesn't tell. */
  readonly rows?: number;
  /** Most optimizer steps. */
  readonly steps?: number;
  /** Peak bytes of a run on the CPU, for the policy and the segmenter; undefined for other devices. */
  readonly bytes?: number;
  /** What a row takes. */
  readonly policy?: PromptWork;
  readonly segmenter?: { readonly operations: number };
  /** The same of what `evaluate` names. */
  readonly evaluation?: Plan;
}

/** @param maxSteps as in `ExecuteOptions`. */
export async function planOf(pipeline: Pipeline, maxSteps?: number): Promise<Plan> {
  const { settings, stages, evaluation } = pipeline;
  const around = pipelineContext(settings, stages);
  const [source] = stages;
  const known = source && !source.unknown ? source : undefined;
  const all = known?.stage.rows?.(known.options);
  const perStep = around.fact('rowsPerStep')?.value;
  const perBatch = around.fact('stepsPerBatch')?.value ?? 1;
  const possible = all === undefined || perStep === undefined ? undefined : Math.ceil(all / perStep) * perBatch;
  const steps = possible === undefined ? undefined : Math.min(possible, maxSteps ?? Infinity);
  const rows =
    all !== undefined && steps !== undefined && perStep !== undefined
      ? Math.min(all, Math.ceil(steps / perBatch) * perStep)
      : all;
  const policy = await workOf(around);
  const segmenter = await segmenting(around);
  const bytes = [policy, segmenter].reduce((sum, work) => sum + (work?.bytes ?? 0), 0);
  return {
    counts: known?.stage.counts?.(known.options) ?? {},
    ...defined({ rows, steps, policy, segmenter }),
    ...(bytes > 0 && { bytes }),
    ...(evaluation && { evaluation: await planOf(evaluation) }),
  };
}

async function workOf(around: PipelineContext): Promise<PromptWork | undefined> {
  const { policy } = around.settings;
  const use = policy?.device === 'cpu' ? useOf(around, policy) : undefined;
  if (!policy || !use) return undefined;
  const { checkpoint, batch, workers } = policy;
  return await policyWork(checkpoint, policy, around.updatesPolicy, { ...use, prompts: batch, workers }).catch(
    uncounted,
  );
}

async function segmenting({ settings: { segmenter } }: PipelineContext) {
  return segmenter?.['device'] === 'cpu' ? await segmenterWork(segmenter).catch(uncounted) : undefined;
}

/** Such as an adapter that hits no layer, which opening it refuses with a better message. */
function uncounted(error: unknown): undefined {
  if (error instanceof ModelError || error instanceof RangeError) return undefined;
  throw error;
}
