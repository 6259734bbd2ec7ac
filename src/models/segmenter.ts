import type { z } from 'zod';

import type { Image, ImageSource, Mask, Prompt, Size } from '../records.js';
import type { InspectedSegmenter, SegmenterUse } from './inspected.js';

/** A request to a segmenter. */
export interface SegmentRequest {
  /** Pixels at any size. */
  readonly image: Image;
  /** In pixels of their own frame, which the segmenter converts to its own. */
  readonly prompts: readonly Prompt[];
  /** Size of the masks. */
  readonly frame: Size;
}

/** Promptable segmenter: all prompts about one image go in one call, so that it is embedded once. */
export interface Segmenter {
  /** Names the model and every option that changes a mask; part of cache keys and run metadata. */
  readonly name: string;
  /** Which pixels it prefers: the stored image, or stretched to the frame; `frame` by default. */
  readonly looksAt?: 'original' | 'frame';
  /**
   * One mask for each prompt, in order, at `frame` size: the union over the prompt's objects. An object with a box uses
   * only the points inside it (inclusive), unless it says `everyPoint`; an invalid object is skipped.
   */
  segment(request: SegmentRequest): Promise<Mask[]>;
  /** As `segment`, with the segmenter's own quality estimates; optional. */
  inspect?(request: SegmentRequest): Promise<Inspected[]>;
  /** Waits for running jobs and frees threads and sessions; later calls reject. */
  release(): Promise<void>;
}

/** A prompt's mask, and a quality estimate for each object in order: null if skipped. */
export interface Inspected {
  readonly mask: Mask;
  readonly objects: readonly (Judged | null)[];
}

/** A segmenter's estimate of its own mask. */
export interface Judged {
  /** Index of the mask: 0 is the single one, 1 to 3 those of different meanings. */
  readonly output: number;
  /** Predicted IoU with the ground truth, in [0, 1]. */
  readonly iou: number;
  /** Stability: IoU of the masks at a slightly higher and a slightly lower threshold, in [0, 1]. */
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
  /** @param notice may be called with a sentence that the user should see. */
  open(options: Options, notice?: (text: string) => void): Promise<Segmenter>;
  /** Why it cannot be opened, as far as configurations say: the option and the reason; no weight is read. */
  fault?(options: Options): Promise<{ readonly option: string; readonly text: string } | undefined>;
  /** Whether folders with that `model_type` in their `config.json` are of this kind. */
  reads?(modelType: string): boolean;
  /** Inspects a folder that it `reads`; no weight is read. */
  inspect?(folder: string, use: SegmenterUse): Promise<InspectedSegmenter>;
}

/** Declares a kind of segmenter; a custom module exports the result. */
export function defineSegmenter<Schema extends z.ZodType>(
  definition: Omit<SegmenterDefinition<z.output<Schema>>, 'options'> & { readonly options: Schema },
): SegmenterDefinition {
  // Options are read with the definition's schema before any of its functions is called.
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
