import { concat, from, lastValueFrom, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { encodeMask } from '../../src/io/mask.js';
import { scoreItem } from '../../src/operators/scoring/score-item.js';
import { score, type ScoreResult, type Scoring } from '../../src/operators/score.js';
import type { Scorer } from '../../src/operators/scoring/scorer.js';
import type { Masked } from '../../src/records.js';
import { ascii } from '../ascii.js';

const here: Scorer = { threads: 2, score: scoreItem, release: async () => {} };
const frame = { width: 4, height: 2 };
const drawn = (drawing: string) => encodeMask(ascii(drawing).bits, frame);
const [left, right] = [drawn('##.. ##..'), drawn('..## ..##')];

function row(id: string, answer: typeof left | null, more: Partial<Masked> = {}): Masked {
  const sample = { id, image: { path: `${id}.png` }, task: 'foreground', frame, original: frame, truth: left };
  const completions = [{ text: '', tokens: [1, 2, 3], logProbs: [0, 0, 0], finish: 'stop' as const }];
  return {
    ...sample,
    prompt: '',
    promptTokens: [],
    completions,
    policyVersion: 0,
    prompts: [answer && { frame, objects: [] }],
    formats: [1],
    masks: [answer],
    ...more,
  };
}

async function scored(rows: readonly Masked[], scoring: Partial<Scoring> = {}) {
  const results: ScoreResult[] = [];
  const read = async () => ({ ...frame, data: new Uint8Array(24) });
  const stage = score<Masked>(
    {
      scorer: here,
      readImage: read,
      scoring: { set: 'drawn', protocol: 'standard', seed: 1, ...scoring },
      done: async (result) => void results.push(result),
    },
    { overlays: 1 },
  );
  const out = await lastValueFrom(concat(from(rows)).pipe(stage, toArray()));
  return { out, result: results[0], told: results.length };
}

describe('score', () => {
  it('adds the metrics of every row and tells of the set once', async () => {
    const { out, result, told } = await scored([row('a', left), row('b', right)]);
    expect(out.map(({ id, scores }) => [id, scores['iou/binary'], scores['mae']])).toEqual([
      ['a', 1, 0],
      ['b', 0, 1],
    ]);
    expect(told).toBe(1);
    expect(result.scores).toMatchObject({
      protocol: 'standard',
      defects: [],
      unscored: 0,
      sets: [
        {
          set: 'drawn',
          n: 2,
          metrics: { 'iou/binary': { value: 0.5, low: 0, high: 1, n: 2 }, 'completions/mean_length': { value: 3 } },
        },
      ],
    });
    expect(result.panels.map(({ name, id }) => [name, id]).slice(0, 2)).toEqual([
      ['best-1', 'a'],
      ['worst-1', 'b'],
    ]);
  });

  it('counts an answer that can’t be read as an empty mask', async () => {
    const { result } = await scored([row('a', left), row('b', null)]);
    expect(result.scores.sets[0]).toMatchObject({
      n: 2,
      metrics: { 'iou/binary': { value: 0.5 }, 'answer/unparsed': { value: 0.5 }, 'answer/empty': { value: 0.5 } },
    });
  });

  it('repeats the answer before only under legacy, and says so', async () => {
    const { result } = await scored([row('a', left), row('b', null)], { protocol: 'legacy' });
    expect(result.scores.sets[0].metrics['iou/binary'].value).toBe(1);
    expect(result.scores.defects).toEqual(['foreground: an answer that is missing repeats the one before']);
    const first = await scored([row('a', null), row('b', left)], { protocol: 'legacy' });
    expect(first.out[0].skipped?.reason).toContain('answer: expected one for the first image; got none');
  });

  it('scores what was asked for by the conventions, without what is ignored', async () => {
    const { out } = await scored([row('a', drawn('###. ##..'), { task: 'referring' })]);
    expect(out[0].scores).toMatchObject({ 'seg_r1/intersection': 4, 'seg_r1/union': 5 });
    expect(out[0].scores).not.toHaveProperty('structure');
  });

  it('lets marked rows by, and marks one whose truth is gone', async () => {
    const marked = row('m', left, { skipped: { stage: 'load', reason: 'cut off' } });
    const { out, result } = await scored([marked, row('a', left, { truthPath: '/nowhere/a.png' }), row('b', left)]);
    expect(out[0]).toBe(marked);
    expect(out[1].skipped).toMatchObject({
      stage: 'score',
      reason: expect.stringContaining('/nowhere/a.png  image: expected a file') as string,
    });
    expect([result.scores.unscored, result.scores.sets[0].n]).toEqual([2, 1]);
  });
});
