import { basename } from 'node:path';

import { rowSchema } from '../../io/columns.js';
import { openShards } from '../../io/shard.js';
import { partsOf } from '../../operators/rewards/options.js';
import { scoreNames } from '../../operators/scoring/score-summary.js';
import { write, WriteOptions } from '../../operators/write.js';
import { stage, type StageContext, type Stage } from '../stage.js';

/** Where rows go. */
export const shards: readonly Stage[] = [
  stage({
    name: 'write',
    kind: 'sink',
    options: WriteOptions,
    needs: ['id'],
    build: async (options, open) => {
      const opened = () =>
        openShards(
          open.folder.rows,
          rowSchema(rewardParts(open), metadata(open), {
            scores: open.stages.includes('score') ? scoreNames : [],
            ignore: ignores(open),
          }),
          options,
          open.resumed?.rowsOut,
        );
      const shards = await open.shared('rows', opened, (sink) => sink.close());
      open.beforeCheckpoint(() => shards.flush());
      return write(shards);
    },
  }),
];

/** Parts of the reward that have a column: those of a stage that names its weights. */
function rewardParts({ option }: StageContext): readonly string[] {
  const weights = option('reward', 'weights');
  return weights !== null && typeof weights === 'object' ? partsOf(weights as Record<string, number>) : [];
}

/** Whether the rows of a source may say what of their truth does not count. */
function ignores({ option }: StageContext): boolean {
  const columns = option('replay', 'columns');
  return option('load', 'set') === 'reasonseg' || (Array.isArray(columns) && columns.includes('ignore'));
}

/** What a shard says of the run that wrote it. */
function metadata({ config, folder, settings, option }: StageContext): Record<string, string> {
  return {
    run: basename(folder.root),
    seed: String(settings.seed),
    config,
    frame: JSON.stringify(option('load', 'frame') ?? null),
  };
}
