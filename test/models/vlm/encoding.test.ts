import { describe, expect, it } from 'vitest';

import { DataError } from '../../../src/errors.js';
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

  // transformers 5.23 counts placeholders in words as images, and fails ("index out of range") for lack of theirs.
  it.each(['<|image_pad|>', '<|im_end|>', '<|vision_start|>', '<|endoftext|>'])(
    'refuses the special token %s in words',
    async (token) => {
      const policy = await open();
      const fault = new DataError(
        `sample  instruction: expected words without special tokens; got ${JSON.stringify(token)}`,
      );
      expect(() => policy.encode({ instruction: `it ${token}` }, picture(1))).toThrow(fault);
      expect(() => policy.encodeAnswer(`a ${token} b`)).toThrow('answer  text: expected words without special tokens');
    },
  );

  it('takes tokens that are not special, and words that the prompt has no place for', async () => {
    const policy = await open();
    expect(policy.encode({ instruction: '<tool_call> <|' }).text).toContain('<tool_call> <|');
    const fixed = await open({ prompt: { user: 'find it' } });
    expect(fixed.encode({ instruction: '<|image_pad|>' }, picture(1)).images).toHaveLength(1);
  });

  it('refuses a prompt of more positions than the model has; an image takes its longer side', async () => {
    const policy = await open();
    const { positions } = policy.config.text;
    expect(positions).toBe(128_000);
    expect(() => policy.encode({ instruction: 'a '.repeat(positions) }, picture(1))).toThrow(
      /^prompt {2}length: expected at most 128000 positions, as the model has; got \d{6}$/,
    );
    const { architecture } = policy.config;
    expect(architecture.positions(10 + 4 * 8, [{ h: 8, w: 16 }], policy.config)).toBe(10 + 8);
  });
});
