import type { Policy } from '../policy.js';
import { expandImages, type Chat } from './chat.js';
import type { QwenConfig } from '../qwen2_5_vl/config.js';
import { imageTokens, patches } from '../qwen2_5_vl/processor.js';
import { messagesOf, prompts, type PromptTemplate } from './prompts.js';
import type { Tokenizer } from './tokenizer.js';

/** @param prompt the checkpoint's own, or else Seg-R1's, unless told. */
export function encoding(
  config: QwenConfig,
  tokenizer: Tokenizer,
  chat: Chat,
  prompt: PromptTemplate | ((task: string) => PromptTemplate) = config.prompt ?? prompts.rl,
): Pick<Policy, 'encode' | 'encodeAnswer' | 'decode'> {
  return {
    encode(sample, ...pictures) {
      const template = typeof prompt === 'function' ? prompt(sample.task ?? 'foreground') : prompt;
      const text = chat.render(messagesOf(template, sample.instruction, pictures.length));
      const images = pictures.map((image) => patches(image, config));
      const counts = images.map(({ grid }) => imageTokens(grid, config));
      return { text, tokens: expandImages(tokenizer.encode(text), counts, config.tokens.image), images };
    },
    encodeAnswer: (text) => [...tokenizer.encode(text), config.tokens.eos[0]],
    decode: (tokens) => tokenizer.decode(tokens),
  };
}
