import { z } from 'zod';

import { messageOf } from '../../errors.js';
import { countRows, load, LoadOptions } from '../../operators/load.js';
import { MARKED, replay, replayable, ReplayOptions } from '../../operators/replay.js';
import { refusedBy } from './constraints.js';
import { stage, type Refusal, type Stage } from '../stage.js';

// The seed and what is tolerated are the whole pipeline's.
const { seed: _seed, tolerate: _tolerate, ...loadShape } = LoadOptions.shape;
const LoadStageOptions = z.strictObject(loadShape).superRefine((options, context) => {
  for (const issue of LoadOptions.safeParse(options).error?.issues ?? [])
    context.addIssue({ code: 'custom', path: issue.path, message: issue.message });
});

/** Where rows come from. */
export const sources: readonly Stage[] = [
  stage({
    name: 'load',
    kind: 'source',
    options: LoadStageOptions,
    adds: ({ scenes, set, benchmark, masks, instruction }) => [
      'id',
      'image',
      'task',
      'frame',
      'original',
      ...(scenes || set || masks ? ['truth'] : []),
      ...(set === 'reasonseg' ? ['ignore'] : []),
      ...(scenes ? ['candidates'] : []),
      ...(instruction === undefined && !set && !benchmark ? [] : ['instruction']),
      ...(benchmark ? ['question'] : []),
    ],
    paths: ['images', 'masks', 'root'],
    rows: (options) => countRows(options),
    filters: (reason) => reason === 'no mask',
    rules: (options) => refusedBy(() => countRows(options)),
    resumes: true,
    build: (options, open) =>
      load(
        open.read,
        { ...options, seed: open.settings.seed, tolerate: Number.MAX_SAFE_INTEGER },
        open.credits,
        open.resumed,
      ),
  }),
  stage({
    name: 'replay',
    kind: 'source',
    options: ReplayOptions,
    adds: ({ columns }) => ['id', 'image', 'task', 'frame', 'original', ...columns],
    paths: ['rows'],
    filters: (reason) => reason === MARKED,
    preflight: (options) => refusedRows(options),
    build: (options, open) => replay(options, open.settings.seed, open.credits),
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
