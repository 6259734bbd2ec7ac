import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ModelError, messageOf, shown } from '../../errors.js';
import { isObject, readJson } from '../checkpoint-json.js';
import { compileJinja } from './jinja.js';

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

/** Where chat templates lie, the first there is, as a processor of transformers 5.23 takes them. */
const PLACES = ['processor_config.json', 'chat_template.json', 'chat_template.jinja', 'tokenizer_config.json'] as const;

/**
 * Finds a checkpoint's chat template: a key `chat_template` in `processor_config.json` or `chat_template.json`,
 * `chat_template.jinja`, or inside `tokenizer_config.json`, the first there is.
 *
 * @throws {ModelError} if there is none or it isn't Jinja, naming the file.
 */
export async function openChat(dir: string): Promise<Chat> {
  const { file, source } = await templateOf(dir);
  const names = await specialTokens(dir);
  const attempt = <T>(expected: string, work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw new ModelError(`${file}  chat template: expected ${expected}; got ${messageOf(error)}`);
    }
  };
  const render = attempt('Jinja', () => compileJinja(source));
  return {
    render: (messages, { answer = true } = {}) =>
      attempt(`to render ${messages.length} messages`, () =>
        render({ ...names, messages, tools: null, documents: null, add_generation_prompt: answer }),
      ),
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

async function templateOf(dir: string): Promise<{ readonly file: string; readonly source: string }> {
  for (const name of PLACES) {
    const file = join(dir, name);
    const source = name.endsWith('.jinja')
      ? await readFile(file, 'utf8').catch(() => undefined)
      : defaultOf((await readJson(file, {}))['chat_template'], file);
    if (source !== undefined) return { file, source: source.replace(/^\uFEFF/, '') };
  }
  throw new ModelError(
    `${dir}  chat template: expected chat_template.jinja, chat_template.json or a chat_template in tokenizer_config.json; got none`,
  );
}

/** The template itself, or the one called "default" of a list or map of named ones. */
function defaultOf(found: unknown, file: string): string | undefined {
  if (found === undefined || found === null || typeof found === 'string') return found ?? undefined;
  const named: unknown = Array.isArray(found)
    ? found.findLast((entry) => isObject(entry) && entry['name'] === 'default')
    : { template: isObject(found) ? found['default'] : undefined };
  if (isObject(named) && typeof named['template'] === 'string') return named['template'];
  throw new ModelError(`${file}  chat_template: expected one called "default"; got ${shown(found)}`);
}

/** Texts of the special tokens, `bos_token` and others, which a template may use. */
async function specialTokens(dir: string): Promise<Record<string, string>> {
  const config = await readJson(join(dir, 'tokenizer_config.json'), {});
  const texts = Object.entries(config).map(([name, token]) => [name, isObject(token) ? token['content'] : token]);
  return Object.fromEntries(
    texts.filter(
      (entry): entry is [string, string] => String(entry[0]).endsWith('_token') && typeof entry[1] === 'string',
    ),
  );
}
