import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { TrainRow } from '../../src/models/policy.js';
import { openPolicy } from '../../src/models/policies.js';
import type { QwenConfig } from '../../src/models/qwen2_5_vl/config.js';
import type { VlmPolicy } from '../../src/models/vlm/policy.js';
import { farthest, folder, goldenRows, has, json, promptOf, stored } from './policy-cases.js';

const names = Object.keys(json<Readonly<Record<string, unknown>>>('forward/cases.json')).filter((name) =>
  has(`forward/${name}.safetensors`),
);

let policy: VlmPolicy;
beforeAll(
  async () =>
    void (policy = await openPolicy(join(folder, 'tiny-qwen2_5_vl'), {
      workers: 1,
      threads: 1,
      batch: 2,
      suppressed: [],
    })),
);
afterAll(() => policy.release());

describe('log-probs of what stands behind the images agree with transformers', () => {
  it.each(names)('%s', async (name) => {
    const golden = await stored(`forward/${name}.safetensors`);
    const rows = await goldenRows(golden, policy.config);
    const width = rows[0].ids.length;
    // As a completion: what comes after the last image, but for a token of the prompt.
    const starts = rows.map(
      ({ ids, padding }) => Math.max(padding, ids.lastIndexOf((policy.config as QwenConfig).tokens.visionEnd)) + 1,
    );
    const lessons = rows.map((row, r): TrainRow => ({
      prompt: promptOf({ ...row, ids: row.ids.slice(0, starts[r]) }),
      completions: [row.ids.slice(starts[r])],
      perToken: {},
    }));
    const scores = await policy.referenceScores({ rows: lessons, temperature: 1 });
    const expected = await golden.read('logp');
    for (const [r, [own]] of scores.entries()) {
      expect(own.length).toBe(width - starts[r]);
      expect(farthest(own, expected.slice(r * (width - 1) + starts[r] - 1, (r + 1) * (width - 1)))).toBeLessThan(1e-4);
    }
  });
});
