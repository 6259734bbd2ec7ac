import { DataError, messageOf } from '../errors.js';
import type { ReadImage, Segmenter } from '../models/segmenter.js';
import type { Image, Sample } from '../records.js';

/** Works on a row that is not marked; a DataError marks it with the stage's name, anything else is thrown on. */
export async function orMarked<T extends Sample, R extends T>(
  stage: string,
  row: T,
  work: () => Promise<R>,
): Promise<R> {
  // Marked rows lack the columns of the stages that let them by, which the types leave unsaid.
  if (row.skipped) return row as R;
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return { ...row, skipped: { stage, reason: error.message } } as unknown as R;
  }
}

/**
 * A row's pixels at its frame's size, or as they are stored where a segmenter is to look at those.
 *
 * @throws {DataError} whatever the reason that they cannot be read.
 */
export async function pixelsOf(
  readImage: ReadImage,
  { image, frame }: Sample,
  looker?: Pick<Segmenter, 'looksAt'>,
): Promise<Image> {
  try {
    return await (looker?.looksAt === 'original' ? readImage(image) : readImage(image, frame));
  } catch (error) {
    throw error instanceof DataError ? error : new DataError(messageOf(error), { cause: error });
  }
}
