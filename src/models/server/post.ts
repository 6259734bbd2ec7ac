import { request as requestHttp, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';

import { messageOf } from '../../errors.js';

/** What a server answered, whole or cut. */
export interface Reply {
  readonly status: number;
  /** The server's own words beside the number. */
  readonly statusText: string;
  readonly headers: IncomingHttpHeaders;
  /** The body as UTF-8; its beginning, or nothing, if it is longer than was allowed. */
  readonly text: string;
  /** False if there was more. */
  readonly whole: boolean;
}

/** One request: where to, what, and its bounds. */
export interface Posting {
  readonly address: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** From connecting to the last byte, ms. */
  readonly deadline: number;
  /** Most bytes of the body that are taken in, as they come and unpacked. */
  readonly most: number;
}

/** No reply in time, or none at all: another attempt may succeed. */
export class NoReply extends Error {
  override readonly name = 'NoReply';
}

const CUT_OFF = 'a connection that was closed before the end of the answer';

/**
 * Posts, and takes in no more than it may for no longer than it may; a connection that has more to say is closed.
 * Redirects are not followed: a reply with 3xx is a reply.
 *
 * `fetch` is not used: it unpacks whatever comes, in as many layers as a server likes, and an abort in the middle of
 * that can end the process.
 *
 * @throws {NoReply} without a connection, or after the deadline; the signal's reason once it is aborted.
 */
export async function post({ address, headers, body, deadline, most }: Posting, signal: AbortSignal): Promise<Reply> {
  signal.throwIfAborted();
  const sent = Buffer.from(body);
  const request = (address.startsWith('https:') ? requestHttps : requestHttp)(address, {
    method: 'POST',
    headers: { ...headers, 'accept-encoding': 'identity', 'content-length': sent.length },
  });
  // What comes after the end, such as a reset, is of no interest.
  request.on('error', () => {});
  let [stop, timer]: [() => void, NodeJS.Timeout | undefined] = [() => {}, undefined];
  try {
    return await new Promise<Reply>((resolve, reject) => {
      stop = () => reject(signal.reason as Error);
      signal.addEventListener('abort', stop);
      timer = setTimeout(() => reject(new NoReply(`no whole answer within ${deadline / 1000} s`)), deadline);
      request.on('error', (error) => reject(new NoReply(messageOf(error) || error.name)));
      const closed = (): void => reject(new NoReply(CUT_OFF));
      request.on('close', closed);
      request.on('response', (response) => {
        // From here on what is left of the body tells whether it is whole.
        request.off('close', closed);
        void beginning(response, most).then(resolve, reject);
      });
      request.end(sent);
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    request.destroy();
  }
}

async function beginning(response: IncomingMessage, most: number): Promise<Reply> {
  const { statusCode: status = 0, statusMessage: statusText = '', headers } = response;
  let taken = Buffer.alloc(Math.min(most, 1 << 14));
  let bytes = 0;
  let whole = true;
  try {
    for await (const piece of response as AsyncIterable<Buffer>) {
      const fits = piece.subarray(0, most - bytes);
      if (bytes + fits.length > taken.length)
        taken = Buffer.concat([taken], Math.min(most, Math.max(2 * taken.length, bytes + fits.length)));
      fits.copy(taken, bytes);
      bytes += fits.length;
      whole = fits.length === piece.length;
      if (!whole) break;
    }
  } catch {
    throw new NoReply(CUT_OFF);
  }
  const packed = taken.subarray(0, bytes);
  const body = whole ? unpacked(packed, headers['content-encoding'], most) : packed;
  return { status, statusText, headers, text: new TextDecoder().decode(body), whole: whole && body !== undefined };
}

const UNPACK: Readonly<Record<string, typeof gunzipSync>> = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
};

/** A body that came packed although it was not asked to; undefined if it is longer than `most`. */
function unpacked(body: Buffer, encoding: string | undefined, most: number): Buffer | undefined {
  const unpack = UNPACK[encoding?.trim().toLowerCase() ?? ''];
  if (!unpack) return body;
  try {
    return unpack(body, { maxOutputLength: most });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined;
    throw new NoReply(`a packed answer that cannot be unpacked: ${messageOf(error)}`);
  }
}
