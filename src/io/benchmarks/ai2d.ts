import { existsSync } from 'node:fs';
import { join, parse } from 'node:path';

import { z } from 'zod';

import { UsageError } from '../../errors.js';
import type { Pair } from '../dataset.js';
import { lying } from '../lying.js';
import { namesIn, publishedText, readShape } from './published.js';
import { tableItems } from './table.js';
import { choiceInstruction, letterOf } from './wording.js';

const Diagram = z.object({
  imageName: z.string().min(1),
  questions: z.record(
    z.string(),
    z.object({ questionId: z.string().min(1), answerTexts: z.array(z.string()).min(2), correctAnswer: z.int().min(0) }),
  ),
});
const Categories = z.record(z.string(), z.string());

/**
 * Questions of AI2D: `questions/*.json` about `images`, by the kind of diagram where `categories.json` says it; or a
 * table with the same
 * columns as MMBench's.
 *
 * @param split `test` takes the pictures of `ai2d_test_ids.csv`; all by default. Of a table, rows by their column
 * `split`.
 * @throws {UsageError} if there is nothing of this kind at `root`.
 */
export function ai2dItems(root: string, split?: string): Pair[] {
  const tables = root.endsWith('.tsv')
    ? [root]
    : namesIn(root).flatMap((name) => (isTable(name) ? [join(root, name)] : []));
  const files = namesIn(join(root, 'questions')).filter((name) => name.endsWith('.json'));
  const [table] = files.length === 0 ? tables : [];
  if (table !== undefined) return tableItems(table, { benchmark: 'ai2d', split, circular: false });
  if (files.length === 0)
    throw new UsageError(`root  ${root}: expected questions/*.json, or AI2D_TEST.tsv; got ${lying(root)}`);
  const kinds = existsSync(join(root, 'categories.json'))
    ? readShape(Categories, publishedText(join(root, 'categories.json')), join(root, 'categories.json'))
    : {};
  const taken = takenBy(root, split);
  return files.flatMap((name) => {
    const path = join(root, 'questions', name);
    const { imageName, questions } = readShape(Diagram, publishedText(path), path);
    return taken(imageName)
      ? Object.entries(questions).map(([question, asked]) =>
          diagramItem(root, imageName, kinds[imageName] ?? '', question, asked),
        )
      : [];
  });
}

function isTable(name: string): boolean {
  return /^ai2d\w*\.tsv$/i.test(name);
}

function diagramItem(
  root: string,
  imageName: string,
  part: string,
  question: string,
  asked: z.output<typeof Diagram>['questions'][string],
): Pair {
  const { questionId: name, answerTexts: options, correctAnswer } = asked;
  if (correctAnswer >= options.length)
    throw new UsageError(
      `${name}  correctAnswer: expected one of ${options.length} options, counted from 0; got ${correctAnswer}`,
    );
  return {
    name,
    image: join(root, 'images', imageName),
    instruction: choiceInstruction(question, options),
    task: 'ai2d',
    question: { benchmark: 'ai2d', part, item: name, turn: 0, options, answer: letterOf(correctAnswer) },
  };
}

function takenBy(root: string, split: string | undefined): (imageName: string) => boolean {
  if (split === undefined) return () => true;
  if (split !== 'test') throw new UsageError(`split: expected test, or none for all of AI2D; got ${split}`);
  const ids = new Set(publishedText(join(root, 'ai2d_test_ids.csv')).split(/[\s,;"]+/));
  return (imageName) => ids.has(parse(imageName).name);
}
