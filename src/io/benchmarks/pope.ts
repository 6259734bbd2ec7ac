import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { z } from 'zod';

import { UsageError } from '../../errors.js';
import type { Pair } from '../dataset.js';
import { lying } from '../lying.js';
import { namesIn, publishedText, readShape } from './published.js';
import { yesNoInstruction } from './wording.js';

const Line = z.object({
  question_id: z.union([z.number(), z.string()]),
  image: z.string().min(1),
  text: z.string().min(1),
  label: z.enum(['yes', 'no']),
});
const splits = ['random', 'popular', 'adversarial'];

/**
 * Questions of POPE: `coco_pope_SPLIT.json` in `root`, one JSON a line, about pictures of COCO.
 *
 * @param split one of the three; all that are there by default.
 * @param images folder of the pictures; `val2014` in `root` by default.
 * @throws {UsageError} if there is no such file, or a line is not a question.
 */
export function popeItems(root: string, split?: string, images: string = join(root, 'val2014')): Pair[] {
  const wanted = split === undefined ? splits : [split];
  const files = wanted.flatMap((part) =>
    namesIn(root)
      .filter((name) => new RegExp(`^coco_pope_${part}\\.jsonl?$`).test(name))
      .map((name) => ({ part, path: join(root, name) })),
  );
  if (files.length === 0)
    throw new UsageError(
      `root  ${root}: expected ${wanted.map((part) => `coco_pope_${part}.json`).join(', ')}; got ${lying(root)}`,
    );
  if (!existsSync(images))
    throw new UsageError(`images: expected the folder of COCO's pictures; got ${images}, which is not there`);
  return files.flatMap(({ part, path }) => splitItems(part, path, images));
}

function splitItems(part: string, path: string, images: string): Pair[] {
  const lines = publishedText(path)
    .split('\n')
    .map((line, i) => ({ line, where: `${path}:${i + 1}` }));
  return lines
    .filter(({ line }) => line.trim() !== '')
    .map(({ line, where }): Pair => {
      const { question_id: id, image, text, label } = readShape(Line, line, where);
      const name = `${part}-${id}`;
      return {
        name,
        image: join(images, image),
        instruction: yesNoInstruction(text),
        task: 'pope',
        question: { benchmark: 'pope', part, item: name, turn: 0, options: [], answer: label },
      };
    });
}
