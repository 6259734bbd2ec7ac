import type { Image, ImageSource, Mask, Prompt, Size } from '../records.js';

/** Promptable segmenter: all prompts about one image go in one call, so that it is looked at once. */
export interface Segmenter {
  /** Names the model and every option that changes a mask; part of cache keys and run metadata. */
  readonly name: string;
  /** Which pixels it is best given: the image as it is stored, or stretched to the frame, which it is unless told. */
  readonly looksAt?: 'original' | 'frame';
  /**
   * One mask a prompt, in order, at `frame` size: the union over the prompt's objects.
   * An object with a box uses the points inside it (inclusive), others are left out; a failing object is skipped.
   *
   * @param image pixels at any size; prompts are in pixels of their own frame, which the segmenter turns into its own.
   */
  segment(image: Image, prompts: readonly Prompt[], frame: Size): Promise<Mask[]>;
  /** Waits for running jobs and frees threads and sessions; later calls reject. */
  release(): Promise<void>;
}

/** How a stage gets pixels: decoded, upright, RGB; at `frame` size (stretched) where one is given. */
export type ReadImage = (source: ImageSource, frame?: Size) => Promise<Image>;
