import { readFile } from 'node:fs/promises';

import type { ImageSource } from '../records.js';
import { readEmbedded } from './embedded.js';
import { encodePng } from './image.js';
import { drawScene, SCENE_SIDE } from './scenes.js';

/**
 * The picture as a file: its bytes as they are stored, or a PNG of a drawn scene.
 *
 * @throws the file system's error.
 */
export async function pictureBytes(source: ImageSource): Promise<Uint8Array> {
  if ('path' in source) return (await readEmbedded(source.path)) ?? (await readFile(source.path));
  const { image } = drawScene(source.scene, SCENE_SIDE);
  return encodePng(image);
}
