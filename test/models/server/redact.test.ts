import { describe, expect, it } from 'vitest';

import { keyGuard } from '../../../src/models/server/redact.js';

const KEY = 'sk-Pa55/w0rd+XyZ_987';
const guard = keyGuard(KEY);
const hex = (text: string): string => Buffer.from(text).toString('hex');
const each = (form: (code: number) => string): string =>
  KEY.split('')
    .map((c) => form(c.charCodeAt(0)))
    .join('');

describe('keyGuard', () => {
  it.each([
    ['itself', KEY],
    ['in capitals', KEY.toUpperCase()],
    ['with percent signs where it must', encodeURIComponent(KEY)],
    ['with percent signs everywhere, twice', encodeURIComponent(each((code) => `%${code.toString(16)}`))],
    ['escaped as JSON may', each((code) => `\\u00${code.toString(16)}`)],
    ['with a slash as PHP writes it', KEY.replace('/', '\\/')],
    ['as entities', each((code) => `&#${code};`)],
    ['as hexadecimal entities', each((code) => `&#x${code.toString(16)};`)],
    ['in hexadecimal', hex(KEY)],
    ['in base64', Buffer.from(KEY).toString('base64')],
    ['in base64 behind one letter', Buffer.from(`a${KEY}`).toString('base64')],
    ['in base64 behind two', Buffer.from(`ab${KEY}`).toString('base64')],
    ['in base64 for the web', Buffer.from(`Bearer ${KEY}`).toString('base64url')],
    ['on several lines', KEY.replaceAll(/(.{4})/g, '$1\n')],
    ['with invisible signs between', KEY.split('').join('\u200b')],
    ['with another ending', `${KEY.slice(0, -8)}********`],
  ])('finds it %s', (_, written) => {
    const text = guard.redact(`got {${written}} instead`);
    expect(text).toContain('[key]');
    for (const piece of [KEY.slice(0, 6), KEY.slice(3, 9)])
      for (const form of [piece, encodeURIComponent(piece), hex(piece)])
        expect(text.toLowerCase()).not.toContain(form.toLowerCase());
    expect(text.startsWith('got {')).toBe(true);
    expect(text.endsWith('} instead')).toBe(true);
  });

  it('leaves other text as it is', () => {
    const text = '401 "no such model", 100 % sure \\u263a &amp; ☺';
    expect(guard.redact(text)).toBe(text);
    expect(keyGuard(undefined).redact(KEY)).toBe(KEY);
  });

  it('takes a short one for a placeholder, hidden as a word', () => {
    expect(keyGuard('x').redact('x, the box: x')).toBe('[key], the box: [key]');
    expect(keyGuard('x').holds('x')).toBe(false);
    expect(keyGuard('a$1').redact('a$1 a$10')).toBe('[key] a$10');
  });

  it('tells an answer that has it, or a long piece, from one that has a word of it', () => {
    expect(guard.holds(`so ${KEY}`)).toBe(true);
    expect(guard.holds(`so ${KEY.slice(4, 18)}`)).toBe(true);
    expect(guard.holds(Buffer.from(`key: ${KEY}`).toString('base64'))).toBe(true);
    expect(guard.holds('pa55 w0rd xyz')).toBe(false);
  });
});
