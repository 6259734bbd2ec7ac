import { createHash } from 'node:crypto';
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { z } from 'zod';

const Line = z.object({ key: z.string(), answer: z.string() });

/** Answers to requests that were made once, in a file of JSON lines. */
export interface AnswerCache {
  /** The answer to a request, made by `ask` where it is not known; who asks for the same meanwhile waits for it. */
  answer(request: string, ask: () => Promise<string>): Promise<string>;
}

/**
 * Opens a file of answers, or begins one with its first; a line that a crash cut off is asked for again.
 *
 * Requests are told apart by their SHA-256.
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
