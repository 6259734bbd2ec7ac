import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { DataError, UsageError } from '../../../src/errors.js';
import {
  chatRequest,
  ChatServerOptions,
  keyFault,
  openChatServer,
  retryAfter,
  type ChatServer,
} from '../../../src/models/server/chat-client.js';

type Handler = (request: IncomingMessage & { readonly body: string }, response: ServerResponse) => void;

const ends: (() => void)[] = [];
afterEach(() => {
  vi.unstubAllEnvs();
  for (const end of ends.splice(0)) end();
});

/** A server on this machine, and the pauses that were made on its account. */
async function served(
  handle: Handler,
  options: object = {},
): Promise<{ chat: ChatServer; options: ChatServerOptions; pauses: number[] }> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => handle(Object.assign(request, { body }), response));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => (server.closeAllConnections(), server.close()));
  const checked = ChatServerOptions.parse({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/`,
    model: 'm',
    ...options,
  });
  const pauses: number[] = [];
  return { options: checked, pauses, chat: openChatServer(checked, async (ms) => pauses.push(ms)) };
}

const answer = (content: unknown, finish = 'stop'): string =>
  JSON.stringify({ choices: [{ message: { content }, finish_reason: finish }] });
/** Responds in order: a status, what it says, and headers. */
const inOrder =
  (...replies: [number, string, Record<string, string>?][]): Handler =>
  (_, response) => {
    const [status, text, headers] = replies.shift() as [number, string, Record<string, string>?];
    response.writeHead(status, headers).end(text);
  };
const { signal } = new AbortController();

describe('openChatServer', () => {
  it('posts a question with its image and its key, and reads the answer', async () => {
    vi.stubEnv('SEGR1_TEST_KEY', 'secret');
    const seen: unknown[] = [];
    const { chat, options } = await served(
      (request, response) => {
        seen.push(request.url, request.headers.authorization, JSON.parse(request.body));
        response.end(answer('because'));
      },
      { key: 'SEGR1_TEST_KEY', maxTokens: 9, temperature: 0.5 },
    );
    expect(await chat.ask(chatRequest(options, 'Why?', Buffer.from('png')), signal)).toBe('because');
    const content = [
      { type: 'image_url', image_url: { url: 'data:image/png;base64,cG5n' } },
      { type: 'text', text: 'Why?' },
    ];
    expect(seen).toEqual([
      '/v1/chat/completions',
      'Bearer secret',
      { model: 'm', max_tokens: 9, temperature: 0.5, messages: [{ role: 'user', content }] },
    ]);
  });

  it('tries again after as long as the server says, or twice as long each time', async () => {
    const { chat, pauses } = await served(
      inOrder([429, 'slow down', { 'retry-after': '7' }], [503, ''], [500, ''], [200, answer('at last')]),
    );
    expect(await chat.ask('{}', signal)).toBe('at last');
    expect(pauses).toEqual([7000, 2000, 4000]);
  });

  it('tries a lost connection again, and gives up in the end', async () => {
    let count = 0;
    const { chat, pauses } = await served((request) => (count++, request.socket.destroy()), { retries: 2 });
    await expect(chat.ask('{}', signal)).rejects.toThrow(/expected an answer within 3 attempts; got /);
    expect([count, pauses]).toEqual([3, [1000, 2000]]);
  });

  it.each([
    [
      'no JSON',
      inOrder([200, '{"choices": [']),
      'expected JSON with choices[0].message.content; got "{\\"choices\\": ["',
    ],
    ['no answer', inOrder([200, answer(null)]), 'expected JSON with choices[0].message.content; got {"choices"'],
    [
      'half an answer',
      inOrder([200, answer('I see', 'length')]),
      'expected an answer of at most 1024 tokens; got one cut off there; way out: a larger maxTokens',
    ],
    ['a refusal', inOrder([401, 'who are you']), 'expected an answer; got 401 Unauthorized, "who are you"'],
  ])('does not ask again for %s', async (_, handle, text) => {
    const { chat, pauses } = await served(handle);
    const error = await chat.ask('{}', signal).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message).toContain(text);
    expect(pauses).toEqual([]);
  });

  it('gives up a request under way once it is aborted', async () => {
    const stop = new AbortController();
    let closed: () => void = () => {};
    const gone = new Promise<void>((resolve) => (closed = resolve));
    const { chat, pauses } = await served((_, response) => {
      response.on('close', closed);
      stop.abort(new Error('enough'));
    });
    await expect(chat.ask('{}', stop.signal)).rejects.toThrow('enough');
    await gone;
    expect(pauses).toEqual([]);
  });

  it('begins no more requests a minute than it may', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 0 });
    const { chat, pauses } = await served((_, response) => response.end(answer('yes')), { perMinute: 30 });
    await Promise.all([1, 2, 3].map(() => chat.ask('{}', signal)));
    vi.useRealTimers();
    expect(pauses).toEqual([2000, 4000]);
  });

  it('refuses a key that is not there, or stands in the options', () => {
    const named = ChatServerOptions.parse({ url: 'http://127.0.0.1/v1', model: 'm', key: 'SEGR1_NO_KEY' });
    expect(keyFault(named)).toBe('expected the environment variable SEGR1_NO_KEY to hold the key; got none');
    expect(() => openChatServer(named)).toThrow(UsageError);
    const literal = ChatServerOptions.safeParse({ url: 'http://127.0.0.1/v1', model: 'm', key: 'sk-abcdef' });
    expect(literal.error?.issues[0]?.message).toBe(
      'expected the name of an environment variable in capitals, such as API_KEY; got something else',
    );
    expect(ChatServerOptions.safeParse({ url: 'file:///etc', model: 'm' }).success).toBe(false);
  });
});

describe('retryAfter', () => {
  it.each([
    ['3', 3000],
    ['0', 0],
    ['Thu, 01 Jan 1970 00:00:10 GMT', 8000],
    ['Thu, 01 Jan 1970 00:00:01 GMT', 0],
    ['soon', undefined],
    ['', undefined],
    [null, undefined],
  ])('%s is %s ms', (header, pause) => expect(retryAfter(header, 2000)).toBe(pause));
});
