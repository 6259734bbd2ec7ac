import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { noticesOf } from '../../../src/pipelines/config/notices.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import { folder } from '../files.js';

const TINY = fileURLToPath(new URL('../../../data/models/tiny', import.meta.url));

/**
 * A pipeline that learns by an objective in a window of 8, and one that evaluates it with these options of `rollout`.
 */
function pipelines(update: string, rollout: string): string {
  return folder().file(
    'all.yaml',
    `
learn:
  policy: &policy { checkpoint: ${JSON.stringify(TINY)} }
  segmenter: &segmenter { kind: grabcut, size: 32 }
  evaluate: judge
  stages: [load: { scenes: { count: 8 }, frame: 112 }, rollout: { group: 2 }, parse, mask, reward, advantage, update: ${update}]
judge:
  policy: *policy
  segmenter: *segmenter
  stages: [load: { scenes: { count: 2 }, frame: 112 }, rollout: ${rollout}, parse, mask, reward, tally]
`,
  );
}

const noticed = async (update: string, rollout: string): Promise<string[]> =>
  noticesOf(await readPipeline('learn', { pipelinesFile: pipelines(update, rollout) }));

describe('noticesOf', () => {
  it('finds nothing to say of greedy answers, and of steps as large as the window', async () => {
    expect(await noticed('{ objective: seg-r1 }', '{ group: 1, temperature: 0 }')).toEqual([]);
  });

  it('says where rows come in another frame than the policy was trained in', async () => {
    const file = pipelines('{ objective: seg-r1 }', '{ group: 1, temperature: 0 }');
    const said = async (...set: string[]) => noticesOf(await readPipeline('learn', { pipelinesFile: file, set }));
    expect(await said('load.frame=140')).toEqual([
      `load.frame  expected 112, the frame that ${TINY} was trained in and writes its pixels in; got 140; way out: frame: 112`,
    ]);
  });

  it('says of which stage it speaks, and that an evaluation draws, which it does by default', async () => {
    expect(await noticed('{ objective: seg-r1, groupsPerStep: 4 }', '{ group: 1 }')).toEqual([
      'update  seg-r1 has no ratio to weigh older rows by, and a window of 8 over steps of 4 lets them be written before the last step; way out: window: 4',
      'evaluate  judge judges answers that are drawn, at rollout.temperature 1: what they come to hangs on the seed; way out: rollout.temperature: 0',
    ]);
  });
});
