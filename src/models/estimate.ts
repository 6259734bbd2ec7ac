/** What a pipeline's models take of the CPU and its memory, computed from their configurations. */
import { readPolicyConfig } from './families.js';
import { storedIn } from './inspected.js';
import { inspectSegmenter, optionsOf, type SegmenterChoice } from './segmenters.js';
import { counted } from './vlm/inspect.js';
import { memoryOf, type Job, type Use } from './vlm/memory.js';
import { findWeights } from './vlm/weight-files.js';
import { trainingJob, type TrainingChoice } from './work-memory.js';

/** What one prompt with its group takes. */
export interface PromptWork {
  /** Peak bytes of the process, for the whole run. */
  readonly bytes: number;
  /** Floating-point operations of reading the prompt and, if weights learn, of the step. */
  readonly operations: number;
  /** Of writing the completions; each pass over the weights reads that many bytes. */
  readonly writing: { readonly operations: number; readonly passes: number; readonly bytes: number };
}

/** Tokens of a prompt beside its image: Seg-R1's question. */
const TEXT = 256;

/**
 * The work of a policy on the CPU, if every completion is as long as it may be. No weight is read.
 *
 * @param learns whether weights change.
 * @throws {ModelError} if the policy could not be opened. @throws {RangeError} for an adapter that hits no layer.
 */
export async function policyWork(
  checkpoint: string,
  choice: TrainingChoice,
  learns: boolean,
  use: Use,
): Promise<PromptWork> {
  const config = await readPolicyConfig(checkpoint);
  const { tensors } = await findWeights(checkpoint, config);
  const job: Job = learns ? await trainingJob(config, choice) : { kind: 'rollout' };
  const whole = { ...use, mapped: storedIn(tensors).dtypes.every((dtype) => dtype === 'F32') };
  const kinds: readonly Job[] = learns ? [{ kind: 'rollout' }, job] : [job];
  const { all, language, vision } = counted(config);
  const { width, height } = config.architecture.resized({ width: use.frame, height: use.frame }, config);
  const image = (width * height) / (config.vision.patch * config.vision.merge) ** 2;
  const written = use.group * use.maxTokens;
  const forward = (tokens: number): number => 2 * language * tokens + 2 * vision * image * config.vision.merge ** 2;
  // Backward, and again forward where layers are computed again; an adapter's base has no gradient of its own.
  const passes = (job.kind === 'lora' ? 2 : 3) + (use.gradientCheckpointing === true ? 1 : 0);
  return {
    bytes: Math.max(...kinds.map((kind) => memoryOf(config, kind, whole).total)),
    operations: forward(image + TEXT) + (learns ? passes * forward(image + TEXT + written) : 0),
    writing: { operations: 2 * language * written, passes: use.maxTokens / use.prompts, bytes: 4 * all },
  };
}

/** Floating-point operations of embedding an image, and peak bytes; undefined where they are not counted. */
export async function segmenterWork(
  choice: SegmenterChoice,
): Promise<{ readonly bytes: number; readonly operations: number } | undefined> {
  const { checkpoint } = optionsOf(choice);
  const found = typeof checkpoint === 'string' ? await inspectSegmenter(checkpoint, { prompts: 1 }) : undefined;
  if (!found) return undefined;
  const { parameters, size, memory } = found;
  // Hiera looks at patches of 4 px, merged to 16 px where most of its weights are.
  const operations = 2 * parameters * (size / 16) ** 2;
  return { operations, bytes: Math.max(...Object.values(memory).map(({ total }) => total)) };
}
