import { z } from 'zod';

import { messageOf, shown } from '../../errors.js';
import {
  countItems,
  countRows,
  load,
  loadedFiles,
  LoadOptions,
  loadNotices,
  namesOfSets,
} from '../../operators/load.js';
import { column } from '../../io/arrow/own-columns.js';
import { folderName } from '../../io/folder-name.js';
import { replayedKeys } from '../../io/arrow/columns.js';
import {
  isReplayed,
  MARKED,
  replay,
  replayable,
  replayedColumns,
  replayedShards,
  ReplayOptions,
  tornColumn,
} from '../../operators/replay.js';
import { refusedBy } from './constraints.js';
import { stage, type Refusal, type Stage } from '../stage.js';

// `seed` and `tolerate` are settings of the whole pipeline.
const { seed: _seed, tolerate: _tolerate, ...loadShape } = LoadOptions.shape;
const LoadStageOptions = z.strictObject(loadShape).superRefine((options, context) => {
  for (const issue of LoadOptions.safeParse(options).error?.issues.filter(({ code }) => code === 'custom') ?? [])
    context.addIssue({ code: 'custom', path: issue.path, message: issue.message });
});

/** Stages that are sources of rows. */
export const sources: readonly Stage[] = [
  stage({
    name: 'load',
    kind: 'source',
    options: LoadStageOptions,
    adds: ({ scenes, set, benchmark, masks, instruction }) => [
      'id',
      'image',
      'task',
      'set',
      'frame',
      'original',
      ...(scenes || set || masks ? ['truth'] : []),
      ...(set === 'reasonseg' ? ['ignore'] : []),
      ...(scenes ? ['candidates'] : []),
      ...(instruction === undefined && !set && !benchmark ? [] : ['instruction']),
      ...(benchmark ? ['question'] : []),
    ],
    paths: ['images', 'masks', 'root', 'excludeFile'],
    facts: (options) => ({
      source: {
        set: namesOfSets({ ...options, seed: 0, tolerate: 0 })[0],
        protocol: options.protocol,
        frame: options.frame,
      },
    }),
    counts: (options) => countItems(options),
    rows: (options) => countRows(options),
    inputs: (options, { seed }) => loadedFiles({ ...options, seed }),
    filters: (reason) => reason === 'no mask',
    rules: (options) => refusedBy(() => countRows(options)),
    notices: (options) => loadNotices(options),
    resumes: true,
    build: (options, open) =>
      load(
        { readImage: open.read, window: open.credits, start: open.resumed },
        { ...options, seed: open.settings.seed, tolerate: Number.MAX_SAFE_INTEGER },
      ),
  }),
  stage({
    name: 'replay',
    kind: 'source',
    options: ReplayOptions,
    adds: (options) => {
      const { known, own } = replayedColumns(options);
      return { ...Object.fromEntries(known.map((name) => [name, column.known])), ...own };
    },
    paths: ['rows'],
    facts: ({ rows }) => ({ source: { set: folderName([rows].flat()[0] ?? '') } }),
    rules: (options) => unknownColumns(options),
    filters: (reason) => reason === MARKED,
    preflight: (options) => refusedRows(options),
    inputs: (options) => replayedShards(options),
    build: (options, open) => replay({ seed: open.settings.seed, window: open.credits }, options),
  }),
];

async function refusedRows(options: ReplayOptions): Promise<readonly Refusal[]> {
  try {
    await replayable(options);
    return [];
  } catch (error) {
    return [{ option: 'rows', text: messageOf(error) }];
  }
}

/** Columns that can't be replayed: neither built-in before a completion, nor custom and in the rows. */
function unknownColumns(options: z.output<typeof ReplayOptions>): readonly Refusal[] {
  const torn = tornColumn(options);
  if (torn !== undefined) return [{ option: 'columns', text: torn }];
  const own = Object.keys(replayedColumns(options).own);
  const unknown = options.columns.find((name) => !isReplayed(name) && !own.includes(name));
  if (unknown === undefined) return [];
  const text = `expected columns that rows have before an answer (${replayedKeys.join(', ')}), or custom ones in these rows; got ${shown(unknown)}`;
  return [{ option: 'columns', text }];
}
