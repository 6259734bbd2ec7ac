import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { pipelineNames } from '../../src/pipelines/pick.js';
import { readPipeline } from '../../src/pipelines/read.js';
import { benchmarkRoots } from '../io/benchmarks/published.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
// What recipes need is not in the repository; they have a test of their own.
/** Stand in for the published ones, which are not in the repository. */
const benchmarks = benchmarkRoots();
const rooms = ['', 'examples', 'docs'];

/** Every pipeline of every YAML file that the repository ships. */
const shipped = rooms.flatMap((room) =>
  filesIn(join(root, room))
    .filter((name) => /\.ya?ml$/.test(name))
    .flatMap((name) => pipelineNames(join(root, room, name)).map((pipeline) => [pipeline, join(room, name)] as const)),
);

describe('every YAML file of the repository', () => {
  it('ships the pipelines that the documentation names', () => {
    expect(shipped.filter(([, file]) => file === 'pipelines.yaml').map(([name]) => name)).toEqual(expect.arrayContaining(['train', 'evaluate', 'fit', 'sft', 'pretrain', 'finetune']));
  });

  it.each(shipped)('%s of %s passes every check', async (name, file) => {
    const needsPolicy = await usesPolicy(name, file);
    const set = needsPolicy ? [`policy.checkpoint=${join(root, 'data/models/tiny')}`] : [];
    if (file === 'recipes/benchmarks.yaml') set.push(`load.root=${benchmarks[name as keyof typeof benchmarks].path}`);
    const pipeline = await readPipeline(name, { pipelinesFile: join(root, file), set });
    expect(pipeline.name).toBe(name);
  });
});

/** Checkpoints of paying size are not in the repository; the small one stands in for them. */
async function usesPolicy(name: string, file: string): Promise<boolean> {
  const message = await readPipeline(name, { pipelinesFile: join(root, file) }).then(
    () => '',
    (error: Error) => error.message,
  );
  return message.includes('policy.checkpoint: expected a file or folder');
}

function filesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
