import { statSync } from 'node:fs';

import { UsageError } from '../../errors.js';
import type { Pair } from '../dataset.js';
import { ai2dItems } from './ai2d.js';
import { mmeItems } from './mme.js';
import { popeItems } from './pope.js';
import { tableItems } from './table.js';

/** Benchmarks of general understanding that can be read. */
export const benchmarkNames = ['pope', 'mme', 'mmbench', 'ai2d'] as const;

export interface NamedBenchmark {
  readonly benchmark: (typeof benchmarkNames)[number];
  /** Its folder, or its table. */
  readonly root: string;
  /** Part of it; all by default. */
  readonly split?: string | undefined;
  /** Folder of the pictures, where they lie elsewhere; POPE only. */
  readonly images?: string | undefined;
}

/**
 * The questions of a benchmark as it is published, in the order of its files.
 *
 * @throws {UsageError} if there is nothing of this kind at `root`.
 */
export function benchmarkItems({ benchmark, root, split, images }: NamedBenchmark): readonly Pair[] {
  const isFile = statSync(root, { throwIfNoEntry: false })?.isFile() ?? false;
  if (benchmark === 'mmbench' ? !isFile : isFile && benchmark !== 'ai2d') {
    throw new UsageError(
      `root: expected a ${benchmark === 'mmbench' ? 'table' : 'folder'} for ${benchmark}; got ${root}`,
    );
  }
  switch (benchmark) {
    case 'pope':
      return popeItems(root, split, images);
    case 'mme':
      return mmeItems(root, split);
    case 'mmbench':
      return tableItems(root, { benchmark, split, circular: true });
    case 'ai2d':
      return ai2dItems(root, split);
  }
}
