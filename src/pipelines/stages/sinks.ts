import { basename } from 'node:path';

import { rowSchema } from '../../io/arrow/columns.js';
import { openShards } from '../../io/arrow/shard.js';
import { partsOf } from '../../operators/rewards/options.js';
import { write, WriteOptions } from '../../operators/write.js';
import { stage, type StageContext, type Stage } from '../stage.js';
import { configHash } from '../store/checkpoint-state.js';

/** Stages that write rows. */
export const sinks: readonly Stage[] = [
  stage({
    name: 'write',
    kind: 'sink',
    options: WriteOptions,
    needs: ['id'],
    indifferent: ['rowsPerBatch', 'shardMegabytes'],
    build: async (options, open) => {
      const { weights = {} } = open.fact('rewards')?.value ?? {};
      const schema = rowSchema(partsOf(weights), metadata(open), {
        scores: open.fact('scores')?.value ?? [],
        images: options.images === 'bytes',
        ignore: open.columns.has('ignore'),
        columns: open.ownColumns,
      });
      const opened = () => openShards(open.folder.rows, schema, options, open.resumed?.rowsOut);
      const shards = await open.shared('rows', opened, (sink) => sink.close());
      open.beforeCheckpoint(() => shards.flush());
      return write(shards);
    },
  }),
];

/** A shard's metadata about its run. */
function metadata({ config, folder, settings, fact }: StageContext): Record<string, string> {
  return {
    run: basename(folder.root),
    seed: String(settings.seed),
    model: JSON.stringify(modelsOf(settings)),
    config,
    config_hash: configHash(folder),
    frame: JSON.stringify(fact('source')?.value.frame ?? null),
  };
}

/** Which policy and which segmenter, without their options. */
function modelsOf({ policy, segmenter }: StageContext['settings']): object {
  const of = (from: object, keys: readonly string[]): object =>
    Object.fromEntries(Object.entries(from).filter(([key, value]) => keys.includes(key) && value !== undefined));
  return {
    ...(policy && { policy: of(policy, ['checkpoint', 'adapter']) }),
    ...(segmenter && { segmenter: of(segmenter, ['kind', 'module', 'checkpoint']) }),
  };
}
