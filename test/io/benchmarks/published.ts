import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { encodePng } from '../../../src/io/image.js';
import { folder } from '../../pipelines/files.js';

/** A picture of one grey level, PNG. */
export function picture(level: number, side = 28): Promise<Buffer> {
  return encodePng({ width: side, height: side, data: new Uint8Array(3 * side * side).fill(level) });
}

/** A new folder with these files. */
export function placed(files: Readonly<Record<string, string | Uint8Array>>): string {
  const root = folder().path;
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  return root;
}

/** POPE in small: two questions of `random`, one of `adversarial`, about two pictures. */
export async function popeFolder(): Promise<string> {
  const line = (id: number, image: string, text: string, label: string): string =>
    `${JSON.stringify({ question_id: id, image, text, label })}\n`;
  return placed({
    'coco_pope_random.json':
      line(1, 'one.png', 'Is there a kite in the image?', 'yes') +
      line(2, 'one.png', 'Is there a reed in the image?', 'no'),
    'coco_pope_adversarial.json': `${line(1, 'two.png', 'Is there a gull in the image?', 'yes')}\n${line(2, 'two.png', 'Is there a "tile" in the image?', 'no')}`,
    'val2014/one.png': await picture(40),
    'val2014/two.png': await picture(200),
  });
}

/** MMBench in small: four questions, of which the third has the picture of the first. */
export async function mmbenchTable(): Promise<string> {
  const [first, second] = await Promise.all(
    [picture(40), picture(200)].map(async (bytes) => (await bytes).toString('base64')),
  );
  const records = [
    ['index', 'question', 'hint', 'A', 'B', 'C', 'D', 'answer', 'category', 'l2-category', 'image', 'split'],
    ['3', 'What is it?', '', 'a kite', 'a gull', '', '', 'B', 'object', 'perception', first, 'dev'],
    [
      '7',
      '"Say ""why""\tit is so"',
      'The wind\u00a0blows.',
      'wind',
      'rain',
      'sun',
      'snow',
      'D',
      'weather',
      'reasoning',
      second,
      'dev',
    ],
    ['9', 'Which colour?', '', 'red', 'grey', 'blue', '', 'B', 'colour', 'perception', '3', 'dev'],
    ['11', 'How many?', '', 'one', 'two', '', '', 'A', 'count', 'perception', second, 'dev'],
  ];
  return placed({ 'mmbench.tsv': records.map((record) => `${record.join('\t')}\n`).join('') });
}

/**
 * Every benchmark with one question and an empty picture, as far as reading its files goes, and what it is called under
 * `data/benchmarks`.
 */
export function benchmarkRoots(): Readonly<
  Record<'pope' | 'mme' | 'mmbench' | 'ai2d', { readonly name: string; readonly path: string }>
> {
  const splits = ['random', 'popular', 'adversarial'].map((split) => [
    `POPE/coco_pope_${split}.json`,
    `${JSON.stringify({ question_id: 1, image: 'a.jpg', text: 'Is it?', label: 'no' })}\n`,
  ]);
  const root = placed({
    ...Object.fromEntries(splits),
    'POPE/val2014/a.jpg': '',
    'MME_Benchmark_release_version/count/a.txt': 'Is it one?\tYes\n',
    'MME_Benchmark_release_version/count/a.jpg': '',
    'MMBench_DEV_EN.tsv': `index\tquestion\tA\tB\tanswer\tsplit\timage\n1\tWhich?\tx\ty\tA\tdev\t${'A'.repeat(80)}\n`,
    'ai2d/questions/1.png.json': JSON.stringify({
      imageName: '1.png',
      questions: { 'Which?': { answerTexts: ['x', 'y'], correctAnswer: 0, questionId: '1.png-0' } },
    }),
    'ai2d/ai2d_test_ids.csv': '1\n',
  });
  const names = { pope: 'POPE', mme: 'MME_Benchmark_release_version', mmbench: 'MMBench_DEV_EN.tsv', ai2d: 'ai2d' };
  const at = (name: string) => ({ name, path: join(root, name) });
  return { pope: at(names.pope), mme: at(names.mme), mmbench: at(names.mmbench), ai2d: at(names.ai2d) };
}
