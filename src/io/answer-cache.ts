import { createHash } from 'node:crypto';
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { z } from 'zod';

const Line = z.object({ key: z.string(), answer: z.string() });

/** A cache of answers to requests, in a file of JSON lines. */
export interface AnswerCache {
  /** The cached answer to a request, or else that of `ask`; concurrent equal requests wait for it. */
  answer(request: string, ask: () => Promise<string>): Promise<string>;
}

/**
 * Opens a file of answers, or creates it with the first; a line that a crash cut off is requested again. Requests are
 * keyed by SHA-256.
 */
export async function openAnswers(path: string): Promise<AnswerCache> {
  const known = new Map<string, Promise<string>>();
  let torn = false;
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  for (const line of text.split('\n')) {
    const entry = entryIn(line);
    if (entry) known.set(entry.key, Promise.resolve(entry.answer));
  }
  torn = text !== '' && !text.endsWith('\n');
  let last: Promise<unknown> = mkdir(dirname(path), { recursive: true });

  const asked = async (key: string, ask: () => Promise<string>): Promise<string> => {
    const answer = await ask();
    const line = `${torn ? '\n' : ''}${JSON.stringify({ key, answer })}\n`;
    torn = false;
    last = last.then(() => appendFile(path, line));
    await last;
    return answer;
  };
  return {
    answer(request, ask) {
      const key = createHash('sha256').update(request).digest('hex');
      const before = known.get(key);
      if (before) return before;
      const answer = asked(key, ask);
      known.set(key, answer);
      answer.catch(() => known.delete(key));
      return answer;
    },
  };
}

function entryIn(line: string): z.output<typeof Line> | undefined {
  try {
    return Line.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}
