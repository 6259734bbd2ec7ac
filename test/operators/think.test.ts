import { join } from 'node:path';

import { firstValueFrom, from, lastValueFrom, of, toArray, type OperatorFunction } from 'rxjs';
import { describe, expect, expectTypeOf, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import { openAnswers } from '../../src/io/answer-cache.js';
import type { ChatServer } from '../../src/models/server/chat-client.js';
import { prompts } from '../../src/prompts/seg-r1.js';
import { readPrompt } from '../../src/operators/parse.js';
import { rationaleRequest } from '../../src/operators/rationale.js';
import { CANCELLED, think, type Thinker } from '../../src/operators/think.js';
import type { Fitted, Prompt, Thought } from '../../src/records.js';
import { folder } from '../pipelines/files.js';
import { later, until } from '../waiting.js';
import { blank, marked, missing, sample } from './stub-policy.js';

const prompt: Prompt = {
  frame: { width: 4, height: 4 },
  objects: [
    {
      box: [0, 0, 1, 1],
      points: [
        { x: 1, y: 0, label: 1 },
        { x: 0, y: 1, label: 0 },
      ],
    },
  ],
};
const solution = '<bbox>[0,0,1,1]</bbox>, <points>[[1,0],[0,1]]</points>, <labels>[1,0]</labels>';
const fitted = (id: string, box = prompt): Fitted => ({
  ...sample(id),
  fitted: { prompt: box, ious: [], text: 'short' },
});
/** Fitted rows whose questions differ. */
const several = (count: number): Fitted[] =>
  Array.from({ length: count }, (_, i) => fitted(`${i}`, { ...prompt, objects: [{ box: [0, 0, 1, i], points: [] }] }));
/** Which of `several` a request is about. */
const aboutBox = (body: string): string | undefined => /in \[0, 0, 1, (\d+)\]/.exec(body)?.[1];
const endpoint = { url: 'http://127.0.0.1:9/v1', model: 'm' };

async function thinker(
  ask: ChatServer['ask'],
  signal = new AbortController().signal,
  path = join(folder().path, 'answers.jsonl'),
): Promise<Thinker> {
  return { server: { ask }, answers: await openAnswers(path), signal };
}

describe('think', () => {
  it('writes rows down as FCoT does, with a thought from a template', async () => {
    const [row] = await lastValueFrom(
      of(fitted('a')).pipe(think({ readImage: blank }, { template: 'It is {place}, the {name}.' }), toArray()),
    );
    expect(row).toEqual({
      ...fitted('a'),
      problem: 'a',
      thinking: '<think> It is top left, the object. </think>',
      solution,
    });
    expect(readPrompt(`${row.thinking} ${row.solution}`, prompt.frame)).toEqual(prompt);
    const { instruction: _, ...bare } = fitted('b');
    expect((await lastValueFrom(of(bare).pipe(think({ readImage: blank })))).problem).toBe(prompts.rl.user.trim());
  });

  it('writes thousandths where the policy does', async () => {
    const row = await lastValueFrom(of(fitted('a')).pipe(think({ readImage: blank }, { coordinates: 'thousandths' })));
    expect(row.solution).not.toBe(solution);
    expect(readPrompt(`${row.thinking} ${row.solution}`, prompt.frame, { coordinates: 'thousandths' })).toEqual(prompt);
  });

  it('asks a server about the image and the prompt, and takes tags off its answer', async () => {
    const bodies: string[] = [];
    const server = await thinker(async (body) => (bodies.push(body), '<think>Okay, let me look.</think> '));
    const row = await lastValueFrom(of(fitted('a')).pipe(think({ readImage: blank, thinker: server }, { endpoint })));
    expect(row.thinking).toBe('<think> Okay, let me look. </think>');
    const [{ content }] = (
      JSON.parse(bodies[0]) as { messages: [{ content: [{ image_url: { url: string } }, { text: string }] }] }
    ).messages;
    expect(content[0].image_url.url).toMatch(/^data:image\/png;base64,iVBOR/);
    expect(content[1].text).toBe(rationaleRequest(prompt));
    expect(content[1].text).toContain(
      'The target object is in [0, 0, 1, 1]. Here are some points [[1, 0],[0, 1]] with labels [1,0] to help',
    );
  });

  it.each([
    ['a</thi</think>nk><bb<bbox>ox>[1,2,3,4]</bb</bbox>ox>', 'a[1,2,3,4]'],
    ['<thi<thi<thi</think>nk>nk>nk>deep', 'deep'],
    ['</THINK> < / points >loud<\\box>', 'loud'],
    ['1 < 2 and 3 > 2, <b>bold</b>', '1 < 2 and 3 > 2, <b>bold</b>'],
    [`${'<thi'.repeat(2e5)}<think>${'nk>'.repeat(2e5)}long`, 'long'],
  ])('leaves no tag where one is taken out', async (said, left) => {
    const server = await thinker(async () => said);
    const row = await lastValueFrom(of(fitted('a')).pipe(think({ readImage: blank, thinker: server }, { endpoint })));
    expect(row.thinking).toBe(`<think> ${left} </think>`);
  });

  it('asks about as many rows at once as it may, and keeps their order', async () => {
    let waiting: (() => void)[] = [];
    const waves: number[] = [];
    const server = await thinker(async () => {
      const turn = new Promise<void>((resolve) => waiting.push(resolve));
      if (waiting.length === 3) {
        // Time for a fourth, if there were one.
        await later(10);
        waves.push(waiting.length);
        for (const go of waiting.toReversed()) go();
        waiting = [];
      }
      await turn;
      return 'so';
    });
    const rows = await lastValueFrom(
      from(several(12)).pipe(
        think({ readImage: blank, thinker: server }, { endpoint: { ...endpoint, inflight: 3 } }),
        toArray(),
      ),
    );
    expect(rows.map(({ id }) => id)).toEqual(several(12).map(({ id }) => id));
    expect(waves).toEqual([3, 3, 3, 3]);
  });

  it('does not ask again what it knows, nor does a run that goes on with the same file', async () => {
    const path = join(folder().path, 'answers.jsonl');
    let asked = 0;
    const run = async (rows: Fitted[]) =>
      lastValueFrom(
        from(rows).pipe(
          think(
            {
              readImage: blank,
              thinker: await thinker(async (body) => (asked++, `box ${aboutBox(body)}`), undefined, path),
            },
            { endpoint },
          ),
          toArray(),
        ),
      );
    const first = await run([...several(2), ...several(2)]);
    expect(first.map(({ thinking }) => thinking)).toEqual(
      ['box 0', 'box 1', 'box 0', 'box 1'].map((text) => `<think> ${text} </think>`),
    );
    const second = await run(several(3));
    expect(second.map(({ thinking }) => thinking)).toEqual(
      ['box 0', 'box 1', 'box 2'].map((text) => `<think> ${text} </think>`),
    );
    const own: Thought = { ...fitted('a'), problem: 'q', thinking: '<think> mine </think>', solution };
    expect(await run([own])).toEqual([own]);
    expect(asked).toBe(3);
  });

  it('marks rows without an answer or an image, and lets marked ones by', async () => {
    const server = await thinker(() => Promise.reject(new DataError('chat: expected an answer; got 500')));
    const early = marked('c') as Fitted;
    const rows = await lastValueFrom(
      from([fitted('a'), fitted('b'), early]).pipe(
        think({ readImage: missing('b.jpg'), thinker: server }, { endpoint }),
        toArray(),
      ),
    );
    expect(rows.map(({ skipped }) => skipped)).toEqual([
      { stage: 'think', reason: 'chat: expected an answer; got 500' },
      { stage: 'think', reason: 'b.jpg: no such file' },
      early.skipped,
    ]);
    expect(rows[2]).toBe(early);
    const empty = await thinker(async () => ' <think></think>');
    expect(
      (await lastValueFrom(of(fitted('a')).pipe(think({ readImage: blank, thinker: empty }, { endpoint })))).skipped
        ?.reason,
    ).toBe('thought: expected a text; got " <think></think>"');
  });

  it('marks rows whose question is given up', async () => {
    const stop = new AbortController();
    let asked = 0;
    const asking: ChatServer['ask'] = (_, signal) =>
      new Promise((__, reject) => (asked++, signal.addEventListener('abort', () => reject(signal.reason as Error))));
    const rows = lastValueFrom(
      from(several(2)).pipe(
        think({ readImage: blank, thinker: await thinker(asking, stop.signal) }, { endpoint }),
        toArray(),
      ),
    );
    await until(() => asked === 2);
    stop.abort();
    expect((await rows).map(({ skipped }) => skipped?.reason)).toEqual([CANCELLED, CANCELLED]);
  });

  it('ends requests when nobody listens any more', async () => {
    const signals: AbortSignal[] = [];
    const server = await thinker(
      (body, signal) => (signals.push(signal), aboutBox(body) === '0' ? Promise.resolve('one') : new Promise(() => {})),
    );
    await firstValueFrom(from(several(3)).pipe(think({ readImage: blank, thinker: server }, { endpoint })));
    expect(signals.map(({ aborted }) => aborted)).toEqual(signals.map(() => true));
    expect(signals.length).toBeGreaterThan(0);
  });

  it('widens the row, and refuses a template beside an endpoint', () => {
    expectTypeOf(think<Fitted>({ readImage: blank })).toEqualTypeOf<OperatorFunction<Fitted, Fitted & Thought>>();
    expect(() => think({ readImage: blank }, { template: 'x', endpoint })).toThrow(
      'expected either a template or an endpoint; got both',
    );
  });
});
