import { setTimeout as sleep } from 'node:timers/promises';

import { z } from 'zod';

import { DataError, messageOf, shown, UsageError } from '../../errors.js';

export const ChatServerOptions = z.strictObject({
  /** Up to its version, such as `http://127.0.0.1:8000/v1`. */
  url: z.url({ protocol: /^https?$/, error: 'expected an address that begins with http:// or https://' }),
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
  /** Further attempts after 408, 429, a 5xx or a lost connection. */
  retries: z.int().min(0).default(5),
  /** Most requests a minute, retries included. */
  perMinute: z.number().positive().optional(),
  /** Requests in flight at once. */
  inflight: z.int().min(1).default(4),
});
export type ChatServerOptions = z.output<typeof ChatServerOptions>;

/** Waits this many ms, or rejects once the signal is aborted. */
export type Wait = (ms: number, signal: AbortSignal) => Promise<unknown>;

/** A server that speaks OpenAI's chat completions. */
export interface ChatServer {
  /**
   * @param body of the request, see `chatRequest`.
   * @returns the answer's text.
   * @throws {DataError} if there is none after all attempts; the signal's reason once it is aborted.
   */
  ask(body: string, signal: AbortSignal): Promise<string>;
}

const Answer = z.object({
  choices: z
    .array(z.object({ message: z.object({ content: z.string().min(1) }), finish_reason: z.string().nullish() }))
    .min(1),
});

/** First pause before another attempt, ms; each further one is twice as long. */
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 60_000;

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
 * Asks over HTTP, no faster than `perMinute`; `inflight` is the caller's to keep.
 *
 * @throws {UsageError} if the environment lacks the key.
 */
export function openChatServer(
  options: ChatServerOptions,
  wait: Wait = (ms, signal) => sleep(ms, undefined, { signal }),
): ChatServer {
  const headers = { 'content-type': 'application/json', ...authorization(options) };
  const address = `${options.url.replace(/\/+$/, '')}/chat/completions`;
  const turn = pace(options.perMinute, wait);

  /** The answer, or the pause before another attempt, ms; undefined leaves that to the caller. */
  const attempt = async (
    body: string,
    signal: AbortSignal,
  ): Promise<{ text: string } | { fault: string; after?: number | undefined }> => {
    let response: Response;
    let text: string;
    try {
      response = await fetch(address, { method: 'POST', headers, body, signal });
      text = await response.text();
    } catch (error) {
      signal.throwIfAborted();
      return { fault: error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error) };
    }
    if (response.ok) return { text: answerIn(text, address, options.maxTokens) };
    const fault = `${response.status} ${response.statusText}`.trim();
    if (response.status !== 408 && response.status !== 429 && response.status < 500)
      throw new DataError(`${address}  chat: expected an answer; got ${fault}, ${shown(text)}`);
    return { fault, after: retryAfter(response.headers.get('retry-after'), Date.now()) };
  };

  return {
    async ask(body, signal) {
      for (let tried = 0; ; tried++) {
        await turn(signal);
        const got = await attempt(body, signal);
        if ('text' in got) return got.text;
        if (tried === options.retries)
          throw new DataError(`${address}  chat: expected an answer within ${tried + 1} attempts; got ${got.fault}`);
        await wait(got.after ?? Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** tried), signal);
      }
    },
  };
}

/** What the environment lacks for this server, or undefined. */
export function keyFault({ key }: Pick<ChatServerOptions, 'key'>): string | undefined {
  return key !== undefined && !process.env[key]
    ? `expected the environment variable ${key} to hold the key; got none`
    : undefined;
}

function authorization(options: ChatServerOptions): { authorization?: string } {
  const fault = keyFault(options);
  if (fault !== undefined) throw new UsageError(`endpoint.key: ${fault}`);
  return options.key === undefined ? {} : { authorization: `Bearer ${process.env[options.key]}` };
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

/** Pause that a server asks for, ms: seconds, or a date. */
export function retryAfter(header: string | null, now: number): number | undefined {
  if (header === null || header.trim() === '') return undefined;
  const pause = Number.isFinite(Number(header)) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isFinite(pause) ? Math.max(0, pause) : undefined;
}

function answerIn(text: string, address: string, maxTokens: number): string {
  const wrong = (got: string, cause?: unknown): DataError =>
    new DataError(`${address}  chat: expected JSON with choices[0].message.content; got ${got}`, { cause });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw wrong(shown(text), error);
  }
  const answer = Answer.safeParse(json);
  if (!answer.success) throw wrong(shown(json));
  const [{ message, finish_reason: finish }] = answer.data.choices as [z.output<typeof Answer>['choices'][number]];
  if (finish === 'length')
    throw new DataError(
      `${address}  chat: expected an answer of at most ${maxTokens} tokens; got one cut off there; way out: a larger maxTokens`,
    );
  return message.content;
}
