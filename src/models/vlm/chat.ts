import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Template } from '@huggingface/jinja';

import { ModelError, messageOf, shown } from '../../errors.js';
import { isObject, readJson } from '../checkpoint-json.js';

/** A piece of a turn; an image's pixels are passed separately. */
export type Part = { readonly type: 'text'; readonly text: string } | { readonly type: 'image' };

/** One turn of a conversation. */
export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string | readonly Part[];
}

/** The checkpoint's own way to write a conversation as text. */
export interface Chat {
  /**
   * One placeholder stands for each image.
   *
   * @param answer opens the assistant's turn at the end; true by default.
   * @throws {ModelError} with the template's error.
   */
  render(messages: readonly Message[], options?: { readonly answer?: boolean }): string;
}

/**
 * Finds a checkpoint's chat template: `chat_template.jinja`, `chat_template.json` or inside `tokenizer_config.json`,
 * the first there is.
 *
 * @throws {ModelError} if there is none or it isn't Jinja.
 */
export async function openChat(dir: string): Promise<Chat> {
  const source = await templateOf(dir);
  let template: Template;
  try {
    template = new Template(source);
  } catch (error) {
    throw new ModelError(`${dir}  chat template: expected Jinja; got ${messageOf(error)}`);
  }
  return {
    render(messages, { answer = true } = {}) {
      try {
        return template.render({ messages, add_generation_prompt: answer });
      } catch (error) {
        throw new ModelError(
          `${dir}  chat template: expected to render ${messages.length} messages; got ${messageOf(error)}`,
        );
      }
    },
  };
}

/**
 * Repeats each image's placeholder once for each merged token.
 *
 * @param counts merged tokens of each image, in order.
 * @param image id of the placeholder.
 * @throws {ModelError} if there are more or fewer placeholders than images.
 */
export function expandImages(ids: readonly number[], counts: readonly number[], image: number): number[] {
  const found = ids.filter((id) => id === image).length;
  if (found !== counts.length)
    throw new ModelError(`prompt  image placeholders: expected one for each of ${counts.length} images; got ${found}`);
  let next = 0;
  return ids.flatMap((id) => (id === image ? Array.from({ length: counts[next++] }, () => image) : id));
}

async function templateOf(dir: string): Promise<string> {
  const jinja = await readFile(join(dir, 'chat_template.jinja'), 'utf8').catch(() => undefined);
  if (jinja !== undefined) return jinja;
  for (const name of ['chat_template.json', 'tokenizer_config.json']) {
    const found = (await readJson(join(dir, name), {}))['chat_template'];
    if (typeof found === 'string') return found;
    if (!Array.isArray(found)) continue;
    const named: unknown = found.find((entry) => isObject(entry) && entry['name'] === 'default');
    if (isObject(named) && typeof named['template'] === 'string') return named['template'];
    throw new ModelError(`${join(dir, name)}  chat_template: expected one called "default"; got ${shown(found)}`);
  }
  throw new ModelError(
    `${dir}  chat template: expected chat_template.jinja, chat_template.json or a chat_template in tokenizer_config.json; got none`,
  );
}
