/** First pause before another attempt, ms; each further one is twice as long. */
const FIRST_PAUSE = 1000;
const YEAR = 365 * 86_400_000;

/** A pause before another attempt, and what the server asked for where that is longer; ms. */
export interface Pause {
  readonly ms: number;
  readonly asked?: number;
}

/**
 * The pause after a failed attempt: what the server asks for, and no less than 1 s, 2 s, 4 s …, within `most`.
 *
 * @param tried attempts before this one.
 * @param asked ms, from `retryAfter`.
 * @param most ms.
 */
export function pauseBefore(tried: number, asked: number | undefined, most: number): Pause {
  const ms = Math.min(most, Math.max(asked ?? 0, FIRST_PAUSE * 2 ** tried));
  return asked !== undefined && asked > most ? { ms, asked } : { ms };
}

/**
 * The pause that a server asks for, ms; undefined if its header can't be understood.
 *
 * @param header `Retry-After`: seconds, or a date. Some gateways write a moment instead, as seconds or milliseconds since
 * 1970: a number within a year of now is read as one.
 * @param now ms since 1970.
 * @see RFC 9110, section 10.2.3.
 */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  const text = header?.trim() ?? '';
  if (/^\d+(\.\d+)?$/.test(text)) {
    const value = Number(text);
    const moment = [value * 1000, value].find((ms) => Math.abs(ms - now) < YEAR && ms > YEAR);
    const pause = moment === undefined ? value * 1000 : moment - now;
    return Number.isFinite(pause) ? Math.max(0, pause) : undefined;
  }
  // The engine reads a date in nearly anything.
  const date = /^[A-Za-z]{3,9},? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
