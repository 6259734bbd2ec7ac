/**
 * Draws the first rows of an evaluation run: input, prompt, mask and truth side by side, a row below the other.
 *
 * usage: node scripts/make-picture.mjs RUN [FILE] [COUNT] (after npm run build; docs/picture.png and 3 by default)
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { encodePng } from '../dist/io/image.js';
import { decodeMask } from '../dist/io/mask.js';
import { drawMarks, panels } from '../dist/io/overlay.js';
import { imageReader, readRows } from '../dist/index.js';

const SIDE = 224;
const GAP = 6;

const [folder, file = 'docs/picture.png', count = '3'] = process.argv.slice(2);
if (!folder) {
  console.error('make-picture  RUN: expected the folder of an evaluation run; got nothing');
  process.exit(2);
}

const read = imageReader();
const frame = { width: SIDE, height: SIDE };

/** White on black, one square of pixels a pixel. */
function shown(mask) {
  const bits = decodeMask(mask);
  const data = new Uint8Array(SIDE * SIDE * 3);
  for (let i = 0; i < SIDE * SIDE; i++) {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE)].map((at, axis) =>
      Math.floor((at * (axis === 0 ? mask.width : mask.height)) / SIDE),
    );
    data.fill(bits[y * mask.width + x] * 255, i * 3, i * 3 + 3);
  }
  return { ...frame, data };
}

/** Images of one width below each other. */
function stacked(images) {
  const width = images[0].width;
  const gap = new Uint8Array(width * GAP * 3).fill(255);
  const parts = images.flatMap(({ data }, i) => (i === 0 ? [data] : [gap, data]));
  const data = Buffer.concat(parts);
  return { width, height: data.length / width / 3, data };
}

const strips = [];
for await (const row of readRows(join(folder, 'rows'))) {
  if (strips.length === Number(count)) break;
  if (row.skipped || !row.truth) continue;
  const [prompt] = row.prompts;
  const [mask] = row.masks;
  const image = await read(row.image, frame);
  const nothing = { width: 1, height: 1, counts: [1] };
  strips.push(
    panels([image, prompt ? drawMarks(image, { prompt }) : image, shown(mask ?? nothing), shown(row.truth)], GAP),
  );
  console.log(`${row.id}  ${row.completions[0].text}  reward ${row.rewards.total[0].toFixed(3)}`);
}
if (strips.length === 0) {
  console.error(`${folder}  rows: expected rows with prompts and truths; got none`);
  process.exit(1);
}
await writeFile(file, await encodePng(stacked(strips)));
console.log(file);
