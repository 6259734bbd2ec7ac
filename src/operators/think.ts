import { defer, finalize, type OperatorFunction } from 'rxjs';
import { z } from 'zod';

import type { AnswerCache } from '../io/answer-cache.js';
import { DataError, shown } from '../errors.js';
import { encodePng } from '../io/image.js';
import { chatRequest, ChatServerOptions, type ChatServer } from '../models/server/chat-client.js';
import { prompts } from '../prompts/seg-r1.js';
import type { ReadImage } from '../models/segmenter.js';
import type { Fitted, Thought } from '../records.js';
import { CoordinatesOption } from './coordinates.js';
import { orMarked, pixelsOf } from './faults.js';
import { solutionText, thinkingText, thoughtOf } from './fit.js';
import { inOrder } from '../streams/in-order.js';
import { rationaleRequest } from './rationale.js';

export const ThinkOptions = z
  .strictObject({
    /**
     * The thought, in which `{place}` stands for where the object lies and `{name}` for what a scene calls it;
     * `{place}` where there is no endpoint either.
     */
    template: z.string().min(1).optional(),
    /** A server that writes each thought instead. */
    endpoint: ChatServerOptions.optional(),
    /** Units of written coordinates; the policy's by default, pixels without one. */
    coordinates: CoordinatesOption.optional(),
  })
  .refine(({ template, endpoint }) => template === undefined || endpoint === undefined, {
    error: 'expected either a template or an endpoint; got both',
    path: ['template'],
  });
export type ThinkOptions = z.input<typeof ThinkOptions>;

/** The server, and the cache of its answers. */
export interface Thinker {
  readonly server: ChatServer;
  readonly answers: AnswerCache;
  /** Aborts all requests; their rows are marked `CANCELLED`. */
  readonly signal: AbortSignal;
}

/** What `think` works with. */
export interface ThinkContext {
  readonly readImage: ReadImage;
  /** Required with an endpoint. */
  readonly thinker?: Thinker | undefined;
}

/** Mark of a row whose request was aborted. */
export const CANCELLED = 'cancelled';

/**
 * Adds `problem`, `thinking` and `solution` to fitted rows: the columns of FCoT, which `sft` teaches. A row that has a
 * thought keeps it; a row without an answer is marked. Rows leave in the order they came, and unsubscribing aborts
 * running requests.
 *
 * @see Seg-R1, arXiv:2506.22624: FCoT.
 */
export function think<T extends Fitted>(
  { readImage, thinker }: ThinkContext,
  options: ThinkOptions = {},
): OperatorFunction<T, T & Thought> {
  const { template = '{place}', endpoint, coordinates } = ThinkOptions.parse(options);

  const answered = async (row: T, ended: AbortSignal): Promise<string> => {
    if (!endpoint || !thinker) return thoughtOf(row, row.fitted.prompt, template);
    const signal = AbortSignal.any([ended, thinker.signal]);
    const request = chatRequest(
      endpoint,
      rationaleRequest(row.fitted.prompt),
      await encodePng(await pixelsOf(readImage, row)),
    );
    try {
      return bare(
        await thinker.answers.answer(`${endpoint.url} ${request}`, () => thinker.server.ask(request, signal)),
      );
    } catch (error) {
      throw signal.aborted ? new DataError(CANCELLED) : error;
    }
  };
  const thought =
    (ended: AbortSignal) =>
    (row: T): Promise<T & Thought> =>
      orMarked('think', row, async () => {
        const {
          problem = problemOf(row),
          thinking,
          solution = solutionText(row.fitted.prompt, coordinates),
        }: Partial<Thought> = row;
        return { ...row, problem, thinking: thinking ?? thinkingText(await answered(row, ended)), solution };
      });
  return (rows) =>
    defer(() => {
      const over = new AbortController();
      return rows.pipe(
        inOrder(thought(over.signal), endpoint?.inflight ?? 1),
        finalize(() => over.abort()),
      );
    });
}

/** The row's own question, or the one about the foreground. */
function problemOf({ instruction }: Fitted): string {
  return instruction ?? prompts.rl.user.trim();
}

/** A tag of an answer, or what the lenient reading takes for one, at the end of a text. */
const TAG = /<\s?[/\\]?\s?(?:think|bbox|box|points?|labels?|answer)\s?>$/i;
const LONGEST_TAG = '< / points >'.length;

/** The answer without tags that would end the thought too early, also those that are left where one is taken out. */
function bare(answer: string): string {
  const kept: string[] = [];
  for (const letter of answer) {
    kept.push(letter);
    const tag = letter === '>' ? TAG.exec(kept.slice(-LONGEST_TAG).join('')) : null;
    if (tag) kept.length -= tag[0].length;
  }
  const text = kept.join('').trim();
  if (text === '') throw new DataError(`thought: expected a text; got ${shown(answer)}`);
  return text;
}
