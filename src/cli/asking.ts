import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { UsageError } from '../errors.js';
import { resize } from '../io/resize.js';
import { trainedFrame } from '../models/frame.js';
import { openPolicy, readPolicyConfig } from '../models/policies.js';
import type { GeneratedCompletion } from '../models/policy.js';
import type { Segmenter } from '../models/segmenter.js';
import { openSegmenter } from '../models/segmenters.js';
import { readPrompt } from '../operators/parse.js';
import { finiteLogProbs } from '../operators/rollout.js';
import { prompts } from '../prompts/seg-r1.js';
import type { Image, Prompt, PromptObject, Size } from '../records.js';

/** The prompt for an image; null if the policy's completion is unreadable. */
export interface Question {
  readonly prompt: Prompt | null;
  /** The policy's whole completion, with its thought. */
  readonly completion?: string;
}

/** Source of prompts for the segmenter: the caller, or a policy. */
export interface Asker {
  readonly name?: string;
  ask(image: Image): Promise<Question>;
  release(): Promise<void>;
}

/**
 * The same prompt for every image.
 *
 * @param frame the square of the coordinates; each image's own pixels by default.
 */
export function given(objects: readonly PromptObject[], frame: number | undefined): Asker {
  return {
    ask: async ({ width, height }) => ({ prompt: { frame: squareOf(frame) ?? { width, height }, objects } }),
    release: async () => {},
  };
}

/** The released evaluation's limit of tokens. */
const MOST_TOKENS = 1024;

export interface PolicyWords {
  readonly dir: string;
  readonly adapter?: string;
  /** What to look for; by default the primary objects. */
  readonly text?: string;
  /** What the policy is shown; by default the frame that it was trained in, else 768 px. */
  readonly frame?: Size;
}

/** Of Seg-R1's released evaluation. */
const USUAL_FRAME: Size = { width: 768, height: 768 };

/**
 * Lets a policy write the prompt for each image, greedily: with its own template if that takes a text exactly when one
 * is given, else with that of Seg-R1's evaluation.
 */
export async function openAsker({ dir, adapter, text, frame: wanted }: PolicyWords): Promise<Asker> {
  const { prompt: own } = await readPolicyConfig(dir);
  const fits = own?.user.includes('{instruction}') === (text !== undefined);
  const prompt = own && fits ? own : text === undefined ? prompts.foreground : prompts.referring;
  const base = { workers: 1, threads: availableParallelism(), batch: 1, prompt };
  const policy = await openPolicy(dir, adapter === undefined ? { ...base, train: 'none' } : { ...base, adapter });
  const frame = wanted ?? (await trainedFrame(dir, adapter)) ?? USUAL_FRAME;
  return {
    name: adapter === undefined ? dir : `${dir} with ${adapter}`,
    async ask(image) {
      const told = policy.encode(
        text === undefined ? {} : { instruction: text },
        resize(image, frame, 'bilinear', 'pillow'),
      );
      const [written] = (
        await policy.generate({ prompts: [told], group: 1, temperature: 0, maxTokens: MOST_TOKENS })
      ).flat() as [GeneratedCompletion];
      finiteLogProbs([written]);
      const completion = policy.decode(written.tokens);
      return { prompt: readPrompt(completion, frame, { lenient: true, coordinates: policy.coordinates }), completion };
    },
    release: () => policy.release(),
  };
}

/** GrabCut by its name, or the SAM 2.1 of a folder. */
export function openNamed(segmenter: string): Promise<Segmenter> {
  return openSegmenter(
    segmenter === 'grabcut'
      ? { kind: 'grabcut', size: GRABCUT_SIDE }
      : { kind: 'sam2', checkpoint: segmenter, threads: availableParallelism() },
  );
}

/** Finer than training needs it: one image may take a second. */
const GRABCUT_SIDE = 256;

/** @throws {UsageError} if the folder is missing, or lacks `file` if one is named. */
export function folderOf(dir: string, option: string, expected: string, file?: string): string {
  if (existsSync(dir) && (file === undefined || existsSync(join(dir, file)))) return dir;
  throw new UsageError(
    `--${option}: expected ${expected}; got ${JSON.stringify(dir)}, ${existsSync(dir) ? `which has no ${file ?? ''}` : 'where nothing is'}`,
  );
}

export const squareOf = (side: number | undefined): Size | undefined =>
  side === undefined ? undefined : { width: side, height: side };
