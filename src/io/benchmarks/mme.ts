import { join, parse } from 'node:path';

import { UsageError } from '../../errors.js';
import { findImages, type Pair } from '../dataset.js';
import { lying } from '../lying.js';
import { namesIn, publishedText } from './published.js';
import { yesNoInstruction } from './wording.js';

/**
 * Questions of MME: a folder a subtask, in it a text file a picture with `question<TAB>Yes` or `No` a line; pictures
 * and texts
 * side by side, or in `images` and `questions_answers_YN`.
 *
 * @param root holds the subtasks, or `MME_Benchmark` with them, as it is published.
 * @param subtask the one to take; all by default.
 * @throws {UsageError} if there is no such folder, a text has no picture, or a line is not a question.
 */
export function mmeItems(root: string, subtask?: string): Pair[] {
  const inside = ['', 'MME_Benchmark', 'MME_Benchmark_release_version', 'MME_Benchmark_release_version/MME_Benchmark'];
  const folders = inside.map((folder) => subtasksIn(join(root, folder), subtask)).find((found) => found.length > 0);
  if (!folders)
    throw new UsageError(
      `root  ${root}: expected ${subtask ?? 'subtasks such as existence'}/*.txt, or MME_Benchmark with them; got ${lying(root)}`,
    );
  return folders.flatMap(({ name, texts, images }) => {
    const pictures = new Map(findImages({ images }).all.map(({ image }) => [parse(image).name, image]));
    return texts.flatMap((text) => pictureItems(name, text, pictures.get(parse(text).name)));
  });
}

function subtasksIn(root: string, subtask: string | undefined) {
  return namesIn(root)
    .filter((name) => name !== TOOL && (subtask === undefined || name === subtask))
    .map((name) => ({ name, ...layoutOf(join(root, name)) }))
    .filter(({ texts }) => texts.length > 0);
}

/** Published beside the subtasks: results of other models. */
const TOOL = 'eval_tool';

/** Where a subtask's texts and pictures lie. */
function layoutOf(folder: string): { readonly texts: readonly string[]; readonly images: string } {
  const apart = textsIn(join(folder, 'questions_answers_YN'));
  return apart.length > 0
    ? { texts: apart, images: join(folder, 'images') }
    : { texts: textsIn(folder), images: folder };
}

function textsIn(folder: string): string[] {
  return namesIn(folder)
    .filter((name) => name.endsWith('.txt'))
    .map((name) => join(folder, name));
}

function pictureItems(part: string, text: string, image: string | undefined): Pair[] {
  if (image === undefined) throw new UsageError(`${text}  picture: expected one of that name; got none`);
  const item = `${part}/${parse(text).name}`;
  const lines = publishedText(text)
    .split('\n')
    .filter((line) => line.trim() !== '');
  return lines.map((line, i): Pair => {
    const [, question, answer = ''] = /^(.*)\t\s*(yes|no)\s*$/i.exec(line.trim()) ?? [];
    if (question === undefined)
      throw new UsageError(
        `${text}:${i + 1}  question: expected "question<TAB>Yes" or No; got ${JSON.stringify(line)}`,
      );
    return {
      name: `${item}-${i + 1}`,
      image,
      instruction: yesNoInstruction(question.trim()),
      task: 'mme',
      question: { benchmark: 'mme', part, item, turn: 0, options: [], answer: answer.toLowerCase() },
    };
  });
}
