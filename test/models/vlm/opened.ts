import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach } from 'vitest';

import type { GeneratedCompletion } from '../../../src/models/policy.js';
import { openPolicy, type OpenPolicyOptions } from '../../../src/models/policies.js';
import type { VlmPolicy } from '../../../src/models/vlm/policy.js';
import { fixturesFolder } from '../../golden/golden.js';

export const tiny = join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl');
export const tied = join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl-tied-bf16');

const scratch: string[] = [];
let opened: VlmPolicy[] = [];
afterEach(async () => {
  await Promise.all(opened.map((policy) => policy.release()));
  opened = [];
});
afterAll(() => Promise.all(scratch.map((dir) => rm(dir, { recursive: true }))));

/** Released after the test. */
export async function open(options: Partial<OpenPolicyOptions> = {}, dir = tiny): Promise<VlmPolicy> {
  const policy = await openPolicy(dir, {
    workers: 1,
    threads: 1,
    batch: 1,
    prompt: { user: 'Where is {instruction}?' },
    ...options,
  });
  opened.push(policy);
  return policy;
}

/** What was written, by whichever version of the weights. */
export function unversioned(
  groups: readonly (readonly GeneratedCompletion[])[],
): Omit<GeneratedCompletion, 'version'>[][] {
  return groups.map((group) =>
    group.map(({ tokens, logProbs, finish, entropies }) => ({
      tokens,
      logProbs,
      finish,
      ...(entropies && { entropies }),
    })),
  );
}

/** An empty folder, removed after the file's tests. */
export async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'segr1-policy-'));
  scratch.push(dir);
  return dir;
}
