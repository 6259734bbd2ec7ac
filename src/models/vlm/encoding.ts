import type { Policy } from '../policy.js';
import { expandImages, type Chat } from './chat.js';
import type { VlmConfig } from './architecture.js';
import type { PromptTemplate } from '../../prompts/template.js';
import { messagesOf } from './messages.js';
import { imageTokens } from './patches.js';
import type { Tokenizer } from './tokenizer.js';

/** Encodes samples for the policy, and decodes its completions. */
export function encoding(
  config: VlmConfig,
  tokenizer: Tokenizer,
  chat: Chat,
  prompt: PromptTemplate | ((task: string) => PromptTemplate),
): Pick<Policy, 'encode' | 'encodeAnswer' | 'decode'> {
  return {
    encode(sample, ...pictures) {
      const template = typeof prompt === 'function' ? prompt(sample.task ?? 'foreground') : prompt;
      const text = chat.render(messagesOf(template, sample.instruction, pictures.length));
      const images = pictures.map((image) => config.architecture.patches(image, config));
      const counts = images.map(({ grid }) => imageTokens(grid, config.vision.merge));
      return { text, tokens: expandImages(tokenizer.encode(text), counts, config.tokens.image), images };
    },
    encodeAnswer: (text) => [...tokenizer.encode(text), config.tokens.eos[0]],
    decode: (tokens) => tokenizer.decode(tokens),
  };
}
