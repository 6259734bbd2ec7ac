import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { ModelError } from '../../../src/errors.js';
import { expandImages, openChat } from '../../../src/models/vlm/chat.js';
import { messagesOf } from '../../../src/models/vlm/messages.js';
import { promptOfTask, prompts } from '../../../src/prompts/seg-r1.js';
import { openTokenizer } from '../../../src/models/vlm/tokenizer.js';
import { fixturesFolder } from '../../golden/golden.js';

const tiny = join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl');
let folder: string;

beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'segr1-chat-'))));
afterEach(() => rm(folder, { recursive: true }));

describe('openChat', () => {
  const messages = [{ role: 'user', content: 'hi' }] as const;

  // What `ProcessorMixin.get_processor_dict` of transformers 5.23 takes, and the tokenizer's where it finds none.
  it('takes the first template there is', async () => {
    await writeFile(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({
        chat_template: [
          { name: 'tools', template: 'T' },
          { name: 'default', template: 'C' },
        ],
      }),
    );
    expect((await openChat(folder)).render(messages)).toBe('C');
    await writeFile(
      join(folder, 'chat_template.jinja'),
      '\uFEFF{{ messages[0].content }}{% if add_generation_prompt %}!{% endif %}',
    );
    expect((await openChat(folder)).render(messages)).toBe('hi!');
    await cp(join(tiny, 'chat_template.json'), join(folder, 'chat_template.json'));
    expect((await openChat(folder)).render(messages, { answer: false })).toBe(
      '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n',
    );
    await writeFile(join(folder, 'processor_config.json'), JSON.stringify({ chat_template: { default: 'P' } }));
    expect((await openChat(folder)).render(messages)).toBe('P');
  });

  // jinja2 3.1.6 with transformers' settings writes 'hi\n!\n' for each; see jinja.test.ts for the rules one by one.
  it.each(['\n', '\r\n', '\r'])('reads line ends %j in every place alike', async (end) => {
    const template = ['{{ messages[0].content }}', '{% if add_generation_prompt %}', '', '!', '  {% endif %}', '', ''];
    const source = template.join(end);
    const places = {
      'tokenizer_config.json': JSON.stringify({ chat_template: source }),
      'chat_template.jinja': source,
      'chat_template.json': JSON.stringify({ chat_template: [{ name: 'default', template: source }] }),
      'processor_config.json': JSON.stringify({ chat_template: source }),
    };
    for (const [name, text] of Object.entries(places)) {
      await writeFile(join(folder, name), text);
      expect((await openChat(folder)).render(messages)).toBe('hi\n\n!\n');
    }
  });

  it("gives a template the tokenizer's special tokens", async () => {
    await writeFile(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({
        bos_token: '<s>',
        eos_token: { content: '</s>' },
        chat_template: '{{ bos_token }}{{ eos_token }}',
      }),
    );
    expect((await openChat(folder)).render(messages)).toBe('<s></s>');
  });

  it('refuses one that does not end, and names its file', async () => {
    await writeFile(join(folder, 'chat_template.jinja'), '{% for i in range(1000000000) %}x{% endfor %}');
    const chat = await openChat(folder);
    expect(() => chat.render(messages)).toThrow(
      new ModelError(
        `${join(folder, 'chat_template.jinja')}  chat template: expected to render 1 messages; got a template that does not end, or writes without end`,
      ),
    );
  });

  it('refuses none, a broken one, and tells what a template raises', async () => {
    await expect(openChat(folder)).rejects.toThrow(
      'chat template: expected chat_template.jinja, chat_template.json or a chat_template in tokenizer_config.json; got none',
    );
    await writeFile(join(folder, 'chat_template.jinja'), '{% if %}');
    await expect(openChat(folder)).rejects.toThrow('chat template: expected Jinja; got');
    await writeFile(join(folder, 'chat_template.jinja'), '{{ raise_exception("roles must alternate") }}');
    const chat = await openChat(folder);
    expect(() => chat.render(messages)).toThrow('roles must alternate');
  });
});

describe('expandImages', () => {
  it('repeats each placeholder as often as its image has tokens', () => {
    expect(expandImages([1, 9, 2, 9], [3, 1], 9)).toEqual([1, 9, 9, 9, 2, 9]);
    expect(() => expandImages([9, 9], [3], 9)).toThrow(
      'prompt  image placeholders: expected one for each of 1 images; got 2',
    );
  });
});

describe('messagesOf', () => {
  it("puts the sample's words in, as they are", () => {
    expect(messagesOf(prompts.referring, 'the $& bird').at(-1)?.content).toEqual([
      { type: 'image' },
      { type: 'text', text: 'Identify and segment the $& bird' },
    ]);
  });

  it.each([
    ['referring', 'referring'],
    ['reason-sentence', 'reason-sentence'],
    ['reason-phrase', 'reason-phrase'],
    ['foreground', 'foreground'],
    ['pick', 'foreground'],
  ] as const)('by task: %s is asked as %s', (task, name) => {
    expect(promptOfTask(task)).toBe(prompts[name]);
  });

  it('refuses a sample without words where they are asked for', () => {
    expect(() => messagesOf(prompts.referring)).toThrow(
      'sample  instruction: expected a text for the prompt "Identify and segment {instruction}"; got nothing',
    );
    expect(messagesOf(prompts.rl)).toHaveLength(2);
  });
});

describe('openTokenizer', () => {
  it('passes over ids without a token', async () => {
    const tokenizer = await openTokenizer(tiny);
    expect(tokenizer.size).toBe(678);
    expect(tokenizer.decode([39, tokenizer.size, 703])).toBe('H');
    expect(tokenizer.decode([703])).toBe('');
  });

  it('refuses a folder without one', async () => {
    await expect(openTokenizer(folder)).rejects.toThrow(
      'tokenizer.json  checkpoint: expected a readable file; got ENOENT',
    );
  });
});
