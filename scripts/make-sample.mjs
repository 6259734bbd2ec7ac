/**
 * Draws `data/sample`: 16 scenes to choose from and the mask of the warm object in each. Run `npm run build` before.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { encodePng } from '../dist/io/image.js';
import { encodeMask, writeMaskPng } from '../dist/io/mask.js';
import { drawScene } from '../dist/io/scenes.js';

const COUNT = 16;
const SIDE = 96;
const SEED = 2024;

const [images, masks] = ['images', 'masks'].map((folder) =>
  fileURLToPath(new URL(`../data/sample/${folder}/`, import.meta.url)),
);
for (const folder of [images, masks]) await mkdir(folder, { recursive: true });
for (let index = 0; index < COUNT; index++) {
  const name = `pick-${String(index).padStart(2, '0')}.png`;
  const { image, truth } = drawScene({ kind: 'pick', rule: 'warm', seed: SEED, index }, SIDE);
  await writeFile(`${images}${name}`, await encodePng(image));
  await writeMaskPng(`${masks}${name}`, encodeMask(truth, image));
}
console.log(`${COUNT} scenes of ${SIDE} px in ${images}`);
