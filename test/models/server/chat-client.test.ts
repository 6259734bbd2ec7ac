import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { DataError, UsageError } from '../../../src/errors.js';
import {
  chatRequest,
  ChatServerOptions,
  keyFault,
  openChatServer,
  sendsKeyOpenly,
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
): Promise<{ chat: ChatServer; options: ChatServerOptions; pauses: number[]; notices: string[] }> {
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
  const notices: string[] = [];
  const chat = openChatServer(
    checked,
    async (ms) => pauses.push(ms),
    (text) => notices.push(text),
  );
  return { options: checked, pauses, notices, chat };
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

  it('waits no longer than it may, whatever the server asks for, and says so once', async () => {
    const { chat, pauses, notices } = await served(
      inOrder(
        [429, '', { 'retry-after': '1000000000' }],
        [429, '', { 'retry-after': 'Fri, 31 Dec 9999 23:59:59 GMT' }],
        [429, '', { 'retry-after': '-5' }],
        [429, '', { 'retry-after': 'NaN' }],
        [200, answer('at last')],
      ),
      { maxPauseSeconds: 30 },
    );
    expect(await chat.ask('{}', signal)).toBe('at last');
    expect(pauses).toEqual([30_000, 30_000, 4000, 8000]);
    expect(notices).toEqual([expect.stringMatching(/chat: asks to wait 1000000000 s; is asked again every 30 s; way/)]);
  });

  it('says what was asked for where it gives up', async () => {
    const { chat } = await served(inOrder([429, 'quota', { 'retry-after': '86400' }]), { retries: 0 });
    await expect(chat.ask('{}', signal)).rejects.toThrow(
      'expected an answer within 1 attempts; got 429 Too Many Requests, "quota", and to wait 86400 s, longer than maxPauseSeconds',
    );
  });

  it.each([
    ['that is silent', () => {}],
    ['that stops after its headers', (_: unknown, response: ServerResponse) => response.writeHead(200).flushHeaders()],
    [
      'that sends a byte at a time for ever',
      (_: unknown, response: ServerResponse) => {
        const timer = setInterval(() => response.write(' '), 20);
        response.on('close', () => clearInterval(timer));
      },
    ],
  ])('gives up a server %s at its deadline, and tries again', async (_, handle) => {
    let [asked, closed] = [0, 0];
    const { chat, pauses } = await served(
      (request, response) => {
        asked++;
        response.on('close', () => closed++);
        handle(request, response);
      },
      { timeoutSeconds: 0.2, retries: 1 },
    );
    await expect(chat.ask('{}', signal)).rejects.toThrow(
      'expected an answer within 2 attempts; got no whole answer within 0.2 s',
    );
    expect([asked, pauses]).toEqual([2, [1000]]);
    await vi.waitFor(() => expect(closed).toBe(2));
  });

  it.each([
    ['as they are', (response: ServerResponse) => response.writeHead(200)],
    ['announced', (response: ServerResponse) => response.writeHead(200, { 'content-length': 2 ** 31 })],
  ])('takes in no more bytes than it may, %s', async (_, begin) => {
    let sent = 0;
    let closed = false;
    const { chat, pauses } = await served(
      (__, response) => {
        begin(response);
        response.on('close', () => (closed = true));
        const more = (): void => {
          while (!closed && response.write(Buffer.alloc(1 << 16, ' '))) sent += 1 << 16;
        };
        response.on('drain', more);
        more();
      },
      { maxBytes: 1000 },
    );
    await expect(chat.ask('{}', signal)).rejects.toThrow(
      'expected an answer of at most 1000 bytes; got more; way out: a larger maxBytes',
    );
    await vi.waitFor(() => expect(closed).toBe(true));
    // What the system's own buffers took of an endless body.
    expect(sent).toBeLessThan(1 << 26);
    expect(pauses).toEqual([]);
  });

  it('counts a packed body unpacked', async () => {
    const packed = gzipSync(Buffer.alloc(1 << 26, ' '));
    const { chat } = await served((_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed);
    });
    await expect(chat.ask('{}', signal)).rejects.toThrow('expected an answer of at most 4000000 bytes; got more');
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ] as const)('reads an answer that comes packed by %s', async (encoding, pack) => {
    const { chat } = await served((request, response) => {
      expect(request.headers['accept-encoding']).toBe('identity');
      response.writeHead(200, { 'content-encoding': encoding }).end(pack(answer('packed')));
    });
    expect(await chat.ask('{}', signal)).toBe('packed');
  });

  it.each([
    ['an answer that breaks off', { 'content-length': '100' }, answer('half')],
    ['a packed answer that is none', { 'content-encoding': 'gzip' }, answer('bare')],
    ['one packed many times', { 'content-encoding': Array(3).fill('gzip').join(', ') }, gzipSync(gzipSync('{}'))],
  ] as const)('takes none for an answer: %s', async (_, headers, body) => {
    const { chat } = await served(
      (__, response) => {
        response.writeHead(200, headers).write(body);
        setImmediate(() => response.destroy());
      },
      { retries: 0 },
    );
    await expect(chat.ask('{}', signal)).rejects.toThrow(DataError);
  });

  it('asks no other address than its own', async () => {
    vi.stubEnv('SEGR1_TEST_KEY', 'sk-0123456789');
    const seen: unknown[] = [];
    const elsewhere = await served((request, response) => {
      seen.push(request.headers.authorization);
      response.end(answer('mine'));
    });
    const { chat, pauses } = await served(
      (_, response) =>
        response.writeHead(307, { location: `${elsewhere.options.url}chat/completions?key=sk-0123456789` }).end(),
      { key: 'SEGR1_TEST_KEY' },
    );
    await expect(chat.ask('{}', signal)).rejects.toThrow(
      /expected an answer; got 307 Temporary Redirect, which sends elsewhere; way out: url: the address that answers$/,
    );
    expect([seen, pauses]).toEqual([[], []]);
  });

  it.each([
    [
      'a page',
      [200, '<html>sign in</html>', { 'content-type': 'text/html; charset=utf-8' }],
      'got text/html, "<html>sign in</html>"',
    ],
    ['no choice', [200, '{"choices":[]}'], 'got {"choices":[]}'],
    ['an error in the place of an answer', [200, '{"error":{"message":"full"}}'], 'got {"error":{"message":"full"}}'],
    ['a hundred thousand levels', [200, `{"choices":${'['.repeat(1e5)}${']'.repeat(1e5)}}`], 'got {"choices":[[[['],
    ['nothing', [204, ''], 'got ""'],
  ] as const)('marks the row for %s', async (_, reply, text) => {
    const { chat } = await served(inOrder([...reply]));
    const error = await chat.ask('{}', signal).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message).toContain(`expected JSON with choices[0].message.content; ${text}`);
  });

  it.each([
    ['as it is', (key: string) => `invalid key ${key}`],
    ['in its header', (key: string) => `invalid: Bearer ${key}`],
    ['cut', (key: string) => `${'.'.repeat(66)} ${key}`],
    ['by half', (key: string) => `invalid key ${key.slice(0, 9)}…`],
    ['as JSON', (key: string) => JSON.stringify({ error: { key, message: `no ${key}` } })],
    ['in base64', (key: string) => `basic ${Buffer.from(`user:${key}`).toString('base64')}`],
    [
      'percent-encoded',
      (key: string) =>
        key
          .split('')
          .map((c) => `%${c.charCodeAt(0).toString(16)}`)
          .join(''),
    ],
  ])('never repeats a key that comes back %s', async (_, told) => {
    const key = 'sk-S3CR3T/4567+89';
    vi.stubEnv('SEGR1_TEST_KEY', key);
    for (const status of [200, 401, 500, 307]) {
      const { chat } = await served(
        (__, response) => response.writeHead(status, told(key).replaceAll(/[^ -~]/g, '')).end(told(key)),
        { key: 'SEGR1_TEST_KEY', retries: 0 },
      );
      const error = (await chat.ask('{}', signal).catch((caught: unknown) => caught)) as Error;
      expect(error).toBeInstanceOf(DataError);
      expect(error.message).not.toMatch(/S3CR3|T\?\/4567|%3[0-9]/);
      expect(error.message).toContain('[key]');
      expect(error.cause).toBeUndefined();
    }
  });

  it('takes no answer that repeats the key', async () => {
    vi.stubEnv('SEGR1_TEST_KEY', 'sk-0123456789');
    const { chat } = await served(inOrder([200, answer('The key is sk-0123456789.')]), { key: 'SEGR1_TEST_KEY' });
    await expect(chat.ask('{}', signal)).rejects.toThrow(
      'chat: expected an answer without the key; got one that repeats it',
    );
  });

  it.each(['sk-ключ', 'a b', 'one\ntwo', 'nul\u0001'])('refuses a key that no header takes, unrepeated', (key) => {
    vi.stubEnv('SEGR1_TEST_KEY', key);
    expect(keyFault({ key: 'SEGR1_TEST_KEY' })).toBe(
      'expected the environment variable SEGR1_TEST_KEY to hold a key of ASCII letters, digits and signs; got others in it',
    );
    vi.stubEnv('SEGR1_TEST_KEY', ' sk-0123456789\n');
    expect(keyFault({ key: 'SEGR1_TEST_KEY' })).toBeUndefined();
  });

  it.each([
    ['http://me:hunter2@127.0.0.1/v1', 'expected an address without a name or a password; got one with'],
    ['https://hunter2@127.0.0.1/v1', 'expected an address without a name or a password; got one with'],
    ['http://127.0.0.1/v1?api-key=hunter2', 'got one with a query or a fragment'],
    ['http://127.0.0.1/v1#hunter2', 'got one with a query or a fragment'],
    ['ftp://hunter2/v1', 'expected an address that begins with http:// or https://; got something else'],
    ['hunter2', 'expected an address that begins with http:// or https://; got something else'],
  ])('refuses the address %s, unrepeated', (url, text) => {
    const [issue, ...more] = ChatServerOptions.safeParse({ url, model: 'm' }).error?.issues ?? [];
    expect(more).toEqual([]);
    expect(issue?.message).toContain(text);
    expect(issue?.message).not.toContain('hunter2');
  });

  it.each([
    ['http://models.example/v1', true],
    ['https://models.example/v1', false],
    ['http://127.0.0.1:8000/v1', false],
    ['http://[::1]:8000/v1', false],
    ['http://localhost:8000/v1', false],
  ])('knows whether %s gets the key in the open', (url, open) => {
    expect(sendsKeyOpenly({ url, key: 'API_KEY' })).toBe(open);
    expect(sendsKeyOpenly({ url, key: undefined })).toBe(false);
  });

  it('refuses a key that is not there, or stands in the options', () => {
    const named = ChatServerOptions.parse({ url: 'http://127.0.0.1/v1', model: 'm', key: 'SEGR1_NO_KEY' });
    expect(keyFault(named)).toBe('expected the environment variable SEGR1_NO_KEY to hold the key; got none');
    expect(() => openChatServer(named)).toThrow(UsageError);
    const literal = ChatServerOptions.safeParse({ url: 'http://127.0.0.1/v1', model: 'm', key: 'sk-abcdef' });
    expect(literal.error?.issues[0]?.message).toBe(
      'expected the name of an environment variable in capitals, such as API_KEY; got something else',
    );
    expect(keyFault({ key: 'AKIAIOSFODNN7EXAMPLE' })).toBe(
      'expected the environment variable that it names to hold the key; got none',
    );
    expect(ChatServerOptions.safeParse({ url: 'file:///etc', model: 'm' }).success).toBe(false);
  });
});
