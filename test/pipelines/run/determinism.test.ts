import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { readRows } from '../../../src/io/arrow/shard.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import { run } from '../../../src/pipelines/run/run.js';
import type { Row } from '../../../src/records.js';
import { folder } from '../files.js';

const TINY = join(import.meta.dirname, '../../../data/models/tiny');
const TEXT = `seed: 7
window: 4
policy: { checkpoint: ${TINY}, workers: 1, threads: 1, batch: 4 }
segmenter: { kind: grabcut, size: 32 }
stages:
  - load: { scenes: { count: 12 }, frame: 112 }
  - rollout: { group: 2, maxTokens: 44 }
  - parse
  - mask
  - reward
  - advantage: { scale: none }
  - update: { objective: dapo, learningRate: 1.0e-4, kl: 0.04, groupsPerStep: 4 }
  - write
`;

interface Result {
  readonly rows: readonly Row[];
  /** SHA-256 of the weights after the last step. */
  readonly weights: string;
}

async function result(set: readonly string[]): Promise<Result> {
  const { path, file } = folder();
  const root = join(path, 'run');
  await run(await readPipeline(file('p.yaml', TEXT), { set }), { folder: root });
  const rows: Row[] = [];
  for await (const row of readRows(join(root, 'rows'))) rows.push(row);
  const weights = readFileSync(join(root, 'checkpoints/step-3/model.safetensors'));
  return { rows, weights: createHash('sha256').update(weights).digest('hex') };
}

/** What rows hold that rounding doesn't reach. */
const drawn = ({ rows }: Result) =>
  rows
    .filter(({ policyVersion }) => policyVersion === 0)
    .map(({ id, completions = [] }) => [id, completions.map(({ tokens }) => tokens)]);

/** Largest difference of a log-prob in rows that the same weights wrote. */
const apart = (a: Result, b: Result): number =>
  Math.max(
    ...a.rows.flatMap(({ policyVersion, completions = [] }, i) =>
      policyVersion === 0
        ? completions.flatMap(({ logProbs }, k) =>
            logProbs.map((value, t) => Math.abs(value - (b.rows[i]?.completions?.[k]?.logProbs[t] ?? NaN))),
          )
        : [],
    ),
  );

// The table in docs/resuming.md, line by line.
describe.each([
  ['as large as a step', []],
  ['larger than a step', ['window=6']],
])('with a window %s', (_, window) => {
  let first: Result;
  beforeAll(async () => void (first = await result(window)));

  it.each([
    ['the same command', []],
    ['policy.workers', ['policy.workers=2']],
    ['inflight, and how rows are written', ['rollout.inflight=1', 'mask.inflight=1', 'write.rowsPerBatch=3']],
  ])('%s gives the same rows and weights, bit by bit', async (__, set) => {
    expect(await result([...window, ...set])).toEqual(first);
  });
});

describe('other cores or batches', () => {
  it.each([
    ['policy.threads', ['policy.threads=2']],
    ['policy.batch', ['policy.batch=1']],
  ])('%s: the same tokens of the same weights, log-probs to 1e-5', async (_, set) => {
    const [first, other] = [await result([]), await result(set)];
    expect(drawn(other)).toEqual(drawn(first));
    expect(apart(other, first)).toBeLessThan(1e-5);
  });
});
