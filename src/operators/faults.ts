import { DataError, messageOf } from '../errors.js';
import type { ReadImage, Segmenter } from '../models/segmenter.js';
import type { Image, Sample } from '../records.js';

/** Works on an unmarked row; a DataError marks it with the stage's name, anything else is rethrown. */
export async function orMarked<T extends Sample, R extends T>(
  stage: string,
  row: T,
  work: () => Promise<R>,
): Promise<R> {
  // Marked rows lack columns that the types promise.
  if (row.skipped) return row as R;
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return { ...row, skipped: { stage, reason: error.message } } as unknown as R;
  }
}

/**
 * A row's pixels at its frame's size, or at stored size for a segmenter that wants those.
 *
 * @throws {DataError} if they cannot be read, for any reason.
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
