import { join } from 'node:path';

import { messageOf } from '../../src/errors.js';
import { openPolicy, type OpenPolicyOptions } from '../../src/models/policies.js';
import type { VlmPolicy } from '../../src/models/vlm/policy.js';
import { fixturesFolder } from '../golden/golden.js';
import { recorded } from './recording.js';
import type { Case } from './replay.js';

/** Something done with engines, under a name that no other has. */
export interface Work {
  readonly name: string;
  readonly run: () => Promise<unknown>;
}

/**
 * What engines are asked by each, one after the other. Test files that call this put `openRecorder` in the place of
 * `openEngine`.
 */
export async function record(works: readonly Work[]): Promise<Case[]> {
  const cases: Case[] = [];
  for (const { name, run } of works) {
    recorded();
    const error = await run().then(() => undefined, messageOf);
    cases.push({ name, calls: recorded(), ...(error === undefined ? {} : { error }) });
  }
  return cases;
}

export const tiny = join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl');

/** Work with a policy, the small one by default. */
export function withPolicy(
  name: string,
  options: Partial<OpenPolicyOptions>,
  work: (policy: VlmPolicy) => Promise<unknown>,
  folder = tiny,
): Work {
  const run = async (): Promise<void> => {
    const policy = await openPolicy(folder, {
      workers: 1,
      threads: 1,
      batch: 1,
      prompt: { user: 'Where is {instruction}?' },
      ...options,
    });
    await work(policy);
    await policy.release();
  };
  return { name, run };
}
