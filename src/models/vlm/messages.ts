import { DataError } from '../../errors.js';
import type { PromptTemplate } from '../../prompts/template.js';
import type { Message, Part } from './chat.js';

/**
 * The turns before the answer: a system message where the prompt has one, then the images and the text.
 *
 * @param images how many; one by default.
 * @throws {DataError} if the prompt asks for an instruction and there is none.
 */
export function messagesOf(template: PromptTemplate, instruction?: string, images = 1): Message[] {
  const words = wordsOf(template, instruction);
  const text: Part = { type: 'text', text: template.user.replaceAll('{instruction}', () => words) };
  const pictures = Array.from({ length: images }, (): Part => ({ type: 'image' }));
  const user: Message = { role: 'user', content: template.imageLast ? [text, ...pictures] : [...pictures, text] };
  return template.system === undefined
    ? [user]
    : [{ role: 'system', content: [{ type: 'text', text: template.system }] }, user];
}

/**
 * The sample's own words in a prompt; none if the prompt has no place for them.
 *
 * @throws {DataError} if the prompt asks for an instruction and there is none.
 */
export function wordsOf({ user, lowerCase }: PromptTemplate, instruction?: string): string {
  if (!user.includes('{instruction}')) return '';
  if (instruction === undefined)
    throw new DataError(`sample  instruction: expected a text for the prompt ${JSON.stringify(user)}; got nothing`);
  return lowerCase ? instruction.toLowerCase() : instruction;
}
