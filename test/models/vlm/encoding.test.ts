import { describe, expect, it } from 'vitest';

import { ModelError } from '../../../src/errors.js';
import type { QwenConfig } from '../../../src/models/qwen2_5_vl/config.js';
import { picture } from './lessons.js';
import { open } from './opened.js';

describe('encode', () => {
  it('gives every image its placeholders, in order, before the words', async () => {
    const policy = await open();
    const { image, visionStart } = (policy.config as QwenConfig).tokens;
    const { text, tokens, images } = policy.encode({ instruction: 'it' }, picture(1), picture(3, 112), picture(2));
    expect(text.match(/<\|image_pad\|>/g)).toHaveLength(3);
    expect(images.map(({ grid }) => grid)).toEqual([
      { h: 4, w: 4 },
      { h: 8, w: 8 },
      { h: 4, w: 4 },
    ]);
    const runs = tokens.flatMap((id, i) =>
      id === visionStart ? [tokens.slice(i + 1).findIndex((other) => other !== image)] : [],
    );
    expect(runs).toEqual([4, 16, 4]);
    expect(policy.encode({ instruction: 'it' })).toMatchObject({
      images: [],
      text: expect.not.stringContaining('image_pad'),
    });
  });

  it('refuses words that stand for an image of their own', async () => {
    const policy = await open();
    expect(() => policy.encode({ instruction: 'it <|image_pad|>' }, picture(1))).toThrow(
      new ModelError('prompt  image placeholders: expected one for each of 1 images; got 2'),
    );
  });
});
