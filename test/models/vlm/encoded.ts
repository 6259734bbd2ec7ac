import { join } from 'node:path';

import type { EncodedPrompt } from '../../../src/models/policy.js';
import { readConfig } from '../../../src/models/qwen2_5_vl/architecture.js';
import type { Grid } from '../../../src/models/vlm/patches.js';
import { fixturesFolder } from '../../golden/golden.js';

export const config = await readConfig(join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl'));
export const [square, wide] = [
  { h: 4, w: 4 },
  { h: 4, w: 8 },
];

/** A prompt of ids that count up. */
export function text(length: number): EncodedPrompt {
  return { text: '', tokens: Array.from({ length }, (_, i) => i + 1), images: [] };
}

/** The same with an image of one colour behind it. */
export function pictured(length: number, grid: Grid, value = 0): EncodedPrompt {
  const { tokens } = text(length);
  const placeholders = Array.from({ length: (grid.h * grid.w) / 4 }, () => config.tokens.image);
  return {
    text: '',
    tokens: [...tokens, ...placeholders],
    images: [{ pixels: new Float32Array(grid.h * grid.w * 1176).fill(value), grid }],
  };
}
