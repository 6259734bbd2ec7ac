import type { z } from 'zod';

import type { Image, ImageSource, Mask, Prompt, Size } from '../records.js';
import type { InspectedSegmenter, SegmenterUse } from './inspected.js';

/** What a segmenter is asked. */
export interface SegmentRequest {
  /** Pixels at any size. */
  readonly image: Image;
  /** In pixels of their own frame, which the segmenter turns into its own. */
  readonly prompts: readonly Prompt[];
  /** Size of the masks. */
  readonly frame: Size;
}

/** Promptable segmenter: all prompts about one image go in one call, so that it is looked at once. */
export interface Segmenter {
  /** Names the model and every option that changes a mask; part of cache keys and run metadata. */
  readonly name: string;
  /** Which pixels it is best given: the image as it is stored, or stretched to the frame; `frame` by default. */
  readonly looksAt?: 'original' | 'frame';
  /**
   * One mask a prompt, in order, at `frame` size: the union over the prompt's objects.
   * An object with a box uses the points inside it (inclusive), others are left out; a failing object is skipped.
   */
  segment(request: SegmentRequest): Promise<Mask[]>;
  /** As `segment`, with what it thinks of each object's mask; only from those that think something. */
  inspect?(request: SegmentRequest): Promise<Inspected[]>;
  /** Waits for running jobs and frees threads and sessions; later calls reject. */
  release(): Promise<void>;
}

/** A prompt's mask, and one judgement an object in order: null where it was skipped. */
export interface Inspected {
  readonly mask: Mask;
  readonly objects: readonly (Judged | null)[];
}

/** What a segmenter thinks of its own answer. */
export interface Judged {
  /** Which of its masks it is: 0 the single one, 1 to 3 those that stand for different meanings. */
  readonly output: number;
  /** The IoU with the truth that it expects, in [0, 1]. */
  readonly iou: number;
  /** IoU of what is a little above its threshold with what is a little below or above, in [0, 1]. */
  readonly stability: number;
}

/** How a stage gets pixels: decoded, upright, RGB; at `frame` size (stretched) where one is given. */
export type ReadImage = (source: ImageSource, frame?: Size) => Promise<Image>;

/** A kind of segmenter, as pipelines name and open it. */
export interface SegmenterDefinition<Options = unknown> {
  /** `kind` in a pipeline's file. */
  readonly name: string;
  /** The options beside `kind` or `module`. */
  readonly options: z.ZodType<Options>;
  /** Options that name a file or folder: resolved against the pipeline's file, and must exist. */
  readonly paths?: readonly string[];
  open(options: Options): Promise<Segmenter>;
  /** What keeps it from being opened, as far as configurations say: the option, and why; no weight is read. */
  fault?(options: Options): Promise<{ readonly option: string; readonly text: string } | undefined>;
  /** Whether folders with that `model_type` in their `config.json` are of this kind. */
  reads?(modelType: string): boolean;
  /** Looks at a folder that it `reads`; no weight is read. */
  inspect?(folder: string, use: SegmenterUse): Promise<InspectedSegmenter>;
}

/** Declares a kind of segmenter; a module of one's own exports what this returns. */
export function defineSegmenter<Schema extends z.ZodType>(
  definition: Omit<SegmenterDefinition<z.output<Schema>>, 'options'> & { readonly options: Schema },
): SegmenterDefinition {
  // Options are read with the definition's own schema before anything of it is called.
  return Object.freeze({ ...definition });
}

/** Whether a value, such as an export of somebody's module, is a kind of segmenter. */
export function isSegmenterDefinition(value: unknown): value is SegmenterDefinition {
  if (value === null || typeof value !== 'object') return false;
  const { name, options, open } = value as Partial<SegmenterDefinition>;
  return (
    typeof name === 'string' &&
    name !== '' &&
    typeof open === 'function' &&
    typeof options === 'object' &&
    typeof options?.safeParse === 'function'
  );
}
