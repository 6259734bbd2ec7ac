import { dirname, parse, resolve } from 'node:path';

import { z } from 'zod';

import { messageOf, UsageError } from '../../errors.js';
import type { Pair } from '../dataset.js';
import { parseJson, readText } from '../text.js';

const Line = z.object({
  image_path: z.string().min(1),
  ground_truth: z.string().min(1).nullish(),
  instruction: z.string().min(1).nullish(),
});

/**
 * A list of images, one JSON a line: `{ image_path, ground_truth, instruction }`, of which only the first must be
 * there.
 *
 * @param base folder that paths are relative to; the list's own by default.
 * @throws {UsageError} if the file can't be read, is empty, or a line is not of this kind.
 */
export function listedItems(path: string, base: string = dirname(path)): Pair[] {
  const lines = textOf(path)
    .split('\n')
    .map((line, i) => ({ line: line.trim(), number: i + 1 }))
    .filter(({ line }) => line !== '');
  if (lines.length === 0) throw new UsageError(`${path}  list: expected one JSON a line; got an empty file`);
  return lines.map(({ line, number }): Pair => {
    const { image_path: image, ground_truth: mask, instruction } = parsed(line, `${path}:${number}`);
    const name = `${parse(image).name}${instruction ? `-${number}` : ''}`;
    return {
      name,
      image: resolve(base, image),
      ...(mask ? { mask: resolve(base, mask) } : {}),
      ...(instruction ? { instruction, task: 'referring' } : {}),
    };
  });
}

function textOf(path: string): string {
  try {
    return readText(path);
  } catch (error) {
    throw new UsageError(`${path}  list: expected a file that can be read; got ${messageOf(error)}`, { cause: error });
  }
}

function parsed(line: string, where: string): z.output<typeof Line> {
  try {
    return Line.parse(parseJson(line));
  } catch (error) {
    const why =
      error instanceof z.ZodError
        ? `${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message}`
        : messageOf(error);
    throw new UsageError(
      `${where}  list: expected JSON with image_path, and with ground_truth and instruction where there are; got ${why}`,
      { cause: error },
    );
  }
}
