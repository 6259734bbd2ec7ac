import { setTimeout as sleep } from 'node:timers/promises';

import { z } from 'zod';

import { cut, DataError, messageOf, shown, UsageError } from '../../errors.js';
import { NoReply, post, type Reply } from './post.js';
import { keyGuard, type KeyGuard } from './redact.js';
import { pauseBefore, retryAfter } from './retry.js';

export const ChatServerOptions = z.strictObject({
  /** Up to its version, such as `http://127.0.0.1:8000/v1`; without a name, a password or a query. */
  url: z
    .url({
      protocol: /^https?$/,
      error: 'expected an address that begins with http:// or https://; got something else',
    })
    .superRefine((url, context) => {
      const message = addressFault(url);
      if (message !== undefined) context.addIssue({ code: 'custom', message });
    }),
  model: z.string().min(1),
  /** Environment variable that holds the key; never the key itself. */
  key: z
    .string()
    .refine((name) => /^[A-Z_][A-Z0-9_]*$/.test(name), {
      error: 'expected the name of an environment variable in capitals, such as API_KEY; got something else',
    })
    .optional(),
  maxTokens: z.int().min(1).default(1024),
  temperature: z.number().min(0).default(0),
  /** Further attempts after 408, 429, a 5xx, a lost connection or the deadline. */
  retries: z.int().min(0).default(5),
  /** Most requests a minute, retries included. */
  perMinute: z.number().positive().optional(),
  /** Requests in flight at once. */
  inflight: z.int().min(1).default(4),
  /** Deadline of one attempt, from connecting to the last byte, s. */
  timeoutSeconds: z.number().positive().max(86_400).default(120),
  /** Longest pause before another attempt, also if the server asks for more, s. */
  maxPauseSeconds: z.number().positive().max(86_400).default(60),
  /** Most bytes of an answer, unpacked. */
  maxBytes: z
    .int()
    .min(1)
    .max(2 ** 28)
    .default(4_000_000),
});
export type ChatServerOptions = z.output<typeof ChatServerOptions>;

/** Waits this many ms, or rejects once the signal is aborted. */
export type Wait = (ms: number, signal: AbortSignal) => Promise<unknown>;

/** A server that speaks OpenAI's chat completions. */
export interface ChatServer {
  /**
   * @param body of the request, see `chatRequest`.
   * @returns the answer's text.
   * @throws {DataError} if there is none after all attempts, or it repeats the key; the signal's reason once it is
   * aborted.
   */
  ask(body: string, signal: AbortSignal): Promise<string>;
}

const Answer = z.object({
  choices: z
    .array(z.object({ message: z.object({ content: z.string().min(1) }), finish_reason: z.string().nullish() }))
    .min(1),
});

/** A refusal is taken in up to this many bytes. */
const MOST_OF_A_REFUSAL = 1 << 14;

/** One question about one image, as JSON. @param png bytes of the image. */
export function chatRequest(
  { model, maxTokens, temperature }: ChatServerOptions,
  question: string,
  png: Buffer,
): string {
  const content = [
    { type: 'image_url', image_url: { url: `data:image/png;base64,${png.toString('base64')}` } },
    { type: 'text', text: question },
  ];
  return JSON.stringify({ model, max_tokens: maxTokens, temperature, messages: [{ role: 'user', content }] });
}

/**
 * Asks over HTTP, no faster than `perMinute`; `inflight` is the caller's to keep. The key is in the request's header and
 * in nothing that leaves here, whatever the server writes.
 *
 * @param notice told once if the server asks for a longer pause than it gets.
 * @throws {UsageError} if the environment lacks the key.
 */
export function openChatServer(
  options: ChatServerOptions,
  wait: Wait = longWait,
  notice: (text: string) => void = () => {},
): ChatServer {
  const key = keyOf(options);
  const guard = keyGuard(key);
  const headers = { 'content-type': 'application/json', ...(key !== undefined && { authorization: `Bearer ${key}` }) };
  const address = `${options.url.replace(/\/+$/, '')}/chat/completions`;
  const turn = pace(options.perMinute, wait);
  const bounds = { deadline: options.timeoutSeconds * 1000, most: options.maxBytes };
  const failed = (text: string): DataError => new DataError(`${address}  chat: ${text}`);
  let told = false;

  /** The answer, or why there is none yet, and the pause that the server asks for, ms. */
  const attempt = async (
    body: string,
    signal: AbortSignal,
  ): Promise<{ text: string } | { fault: string; after?: number | undefined }> => {
    let reply: Reply;
    try {
      reply = await post({ address, headers, body, ...bounds }, signal);
    } catch (error) {
      if (!(error instanceof NoReply)) throw error;
      return { fault: guard.redact(messageOf(error)) };
    }
    const { status, text, whole } = reply;
    if (status >= 200 && status < 300) {
      if (whole) return { text: answerIn(reply, guard, options.maxTokens, failed) };
      throw failed(`expected an answer of at most ${options.maxBytes} bytes; got more; way out: a larger maxBytes`);
    }
    const fault = guard.redact(`${status} ${reply.statusText}`.trim());
    if (status >= 300 && status < 400)
      throw failed(`expected an answer; got ${fault}, which sends elsewhere; way out: url: the address that answers`);
    const words = text === '' ? '' : `, ${shown(guard.redact(text.slice(0, MOST_OF_A_REFUSAL)))}`;
    if (status !== 408 && status !== 429 && status < 500) throw failed(`expected an answer; got ${fault}${words}`);
    return { fault: `${fault}${words}`, after: retryAfter(reply.headers['retry-after'], Date.now()) };
  };

  return {
    async ask(body, signal) {
      for (let tried = 0; ; tried++) {
        await turn(signal);
        const got = await attempt(body, signal);
        if ('text' in got) return got.text;
        const { ms, asked } = pauseBefore(tried, got.after, options.maxPauseSeconds * 1000);
        const capped = asked === undefined ? '' : `, and to wait ${seconds(asked)}, longer than maxPauseSeconds`;
        if (tried === options.retries)
          throw failed(`expected an answer within ${tried + 1} attempts; got ${got.fault}${capped}`);
        if (asked !== undefined && !told) {
          told = true;
          notice(
            `${address}  chat: asks to wait ${seconds(asked)}; is asked again every ${seconds(ms)}; way out: a larger maxPauseSeconds`,
          );
        }
        await wait(ms, signal);
      }
    },
  };
}

const seconds = (ms: number): string => `${Number((ms / 1000).toPrecision(4))} s`;

/** What is wrong with an address that may hold credentials, or undefined; never repeats it. */
export function addressFault(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined;
  const { username, password, search, hash } = new URL(url);
  if (username !== '' || password !== '')
    return 'expected an address without a name or a password; got one with; way out: key, the name of an environment variable';
  return search !== '' || hash !== '' || /[?#]/.test(url)
    ? 'expected an address that ends with its version, as in http://127.0.0.1:8000/v1; got one with a query or a fragment'
    : undefined;
}

/** What is wrong with the key in the environment, or undefined; never repeats it. */
export function keyFault({ key: name }: Pick<ChatServerOptions, 'key'>): string | undefined {
  if (name === undefined) return undefined;
  const key = process.env[name]?.trim();
  // A key in capitals could have been written in the place of its name.
  const called = /(^|_)(KEY|TOKEN|SECRET)(_|$)/.test(name) ? `variable ${name}` : 'variable that it names';
  if (!key) return `expected the environment ${called} to hold the key; got none`;
  return /[^\x21-\x7e]/.test(key)
    ? `expected the environment ${called} to hold a key of ASCII letters, digits and signs; got others in it`
    : undefined;
}

/** Whether a key would travel unencrypted to another machine. */
export function sendsKeyOpenly({ url, key }: Pick<ChatServerOptions, 'url' | 'key'>): boolean {
  const { protocol, hostname } = new URL(url);
  return key !== undefined && protocol === 'http:' && !/^(localhost|127\.[\d.]+|\[::1\])$/.test(hostname);
}

function keyOf(options: ChatServerOptions): string | undefined {
  const fault = keyFault(options);
  if (fault !== undefined) throw new UsageError(`endpoint.key: ${fault}`);
  return options.key === undefined ? undefined : process.env[options.key]?.trim();
}

/** Longest time that a timer of Node.js takes, ms; a longer one ends at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

async function longWait(ms: number, signal: AbortSignal): Promise<void> {
  for (let left = ms; left > 0; left -= LONGEST_TIMER)
    await sleep(Math.min(left, LONGEST_TIMER), undefined, { signal });
}

/** Lets calls pass one after another, evenly spaced. */
function pace(perMinute: number | undefined, wait: Wait): (signal: AbortSignal) => Promise<void> {
  const distance = perMinute === undefined ? 0 : 60_000 / perMinute;
  let next = 0;
  return async (signal) => {
    signal.throwIfAborted();
    const now = Date.now();
    const mine = Math.max(now, next);
    next = mine + distance;
    if (mine > now) await wait(mine - now, signal);
  };
}

function answerIn(
  { headers, text }: Reply,
  guard: KeyGuard,
  maxTokens: number,
  failed: (text: string) => DataError,
): string {
  const kind = headers['content-type']?.split(';', 1)[0]?.trim() ?? '';
  const wrong = (got: string): DataError => {
    const of = kind === '' || kind.endsWith('json') ? '' : `${guard.redact(kind.slice(0, 40))}, `;
    return failed(`expected JSON with choices[0].message.content; got ${of}${got}`);
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw wrong(shown(guard.redact(text)));
  }
  const answer = Answer.safeParse(json);
  // The text, not the value: one of many levels can be read and not be written again.
  if (!answer.success) throw wrong(cut(guard.redact(text)));
  const [{ message, finish_reason: finish }] = answer.data.choices as [z.output<typeof Answer>['choices'][number]];
  if (finish === 'length')
    throw failed(
      `expected an answer of at most ${maxTokens} tokens; got one cut off there; way out: a larger maxTokens`,
    );
  if (guard.holds(message.content)) throw failed('expected an answer without the key; got one that repeats it');
  return message.content;
}
