import { messageOf } from '../../errors.js';

/** What a server answered, whole or cut. */
export interface Reply {
  readonly status: number;
  /** The server's own words beside the number. */
  readonly statusText: string;
  readonly headers: Headers;
  /** The body as UTF-8; its beginning if it is longer than was allowed. */
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
  /** Most bytes of the body that are taken in, unpacked. */
  readonly most: number;
}

/** No reply in time, or none at all: another attempt may succeed. */
export class NoReply extends Error {
  override readonly name = 'NoReply';
}

/**
 * Posts, and takes in no more than it may for no longer than it may; the connection is closed behind it. Redirects are
 * not followed: a reply with 3xx is a reply.
 *
 * @throws {NoReply} without a connection, or after the deadline; the signal's reason once it is aborted.
 */
export async function post({ address, headers, body, deadline, most }: Posting, signal: AbortSignal): Promise<Reply> {
  signal.throwIfAborted();
  const over = new AbortController();
  const abort = (): void => over.abort();
  signal.addEventListener('abort', abort);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    over.abort();
  }, deadline);
  try {
    // Packed bodies are unpacked as they come, should a server send one in spite of this.
    const asked = { 'accept-encoding': 'identity', ...headers };
    const reply = await fetch(address, {
      method: 'POST',
      headers: asked,
      body,
      redirect: 'manual',
      signal: over.signal,
    });
    const { status, statusText } = reply;
    return { status, statusText, headers: reply.headers, ...(await beginning(reply, most)) };
  } catch (error) {
    signal.throwIfAborted();
    if (late) throw new NoReply(`no whole answer within ${deadline / 1000} s`);
    throw new NoReply(messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error));
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    // Whatever was not read is not read any more.
    over.abort();
  }
}

async function beginning({ body }: Response, most: number): Promise<Pick<Reply, 'text' | 'whole'>> {
  let taken = new Uint8Array(Math.min(most, 1 << 14));
  let bytes = 0;
  let whole = true;
  const pieces: AsyncIterable<Uint8Array> | readonly Uint8Array[] = body ?? [];
  for await (const piece of pieces) {
    const fits = piece.subarray(0, most - bytes);
    if (bytes + fits.length > taken.length) {
      const larger = new Uint8Array(Math.min(most, Math.max(2 * taken.length, bytes + fits.length)));
      larger.set(taken.subarray(0, bytes));
      taken = larger;
    }
    taken.set(fits, bytes);
    bytes += fits.length;
    whole = fits.length === piece.length;
    if (!whole) break;
  }
  return { text: new TextDecoder().decode(taken.subarray(0, bytes)), whole };
}
