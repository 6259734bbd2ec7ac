import { DataError, shown } from '../../errors.js';
import type { EncodedPrompt, Policy } from '../policy.js';
import { expandImages, type Chat } from './chat.js';
import type { VlmConfig } from './architecture.js';
import type { PromptTemplate } from '../../prompts/template.js';
import { messagesOf, wordsOf } from './messages.js';
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
      refuseSpecial('sample  instruction', wordsOf(template, sample.instruction), tokenizer);
      const text = chat.render(messagesOf(template, sample.instruction, pictures.length));
      const images = pictures.map((image) => config.architecture.patches(image, config));
      const counts = images.map(({ grid }) => imageTokens(grid, config.vision.merge));
      return withinPositions(
        { text, tokens: expandImages(tokenizer.encode(text), counts, config.tokens.image), images },
        config,
      );
    },
    encodeAnswer(text) {
      refuseSpecial('answer  text', text, tokenizer);
      return [...tokenizer.encode(text), config.tokens.eos[0]];
    },
    decode: (tokens) => tokenizer.decode(tokens),
  };
}

/**
 * A special token in a sample's words would end a turn, or stand for an image that isn't there.
 *
 * @throws {DataError} naming it.
 */
function refuseSpecial(where: string, words: string, { special }: Tokenizer): void {
  const found = special.find((token) => words.includes(token));
  if (found !== undefined) throw new DataError(`${where}: expected words without special tokens; got ${shown(found)}`);
}

function withinPositions(prompt: EncodedPrompt, config: VlmConfig): EncodedPrompt {
  const grids = prompt.images.map(({ grid }) => grid);
  const taken = config.architecture.positions(prompt.tokens.length, grids, config);
  if (taken > config.text.positions)
    throw new DataError(
      `prompt  length: expected at most ${config.text.positions} positions, as the model has; got ${taken}`,
    );
  return prompt;
}
