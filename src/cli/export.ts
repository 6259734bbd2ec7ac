import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

import type { Argv, CommandModule } from 'yargs';

import { shortPath, UsageError } from '../errors.js';
import { noRoom } from '../io/whole-file.js';
import { baseOf, copyCheckpoint, exportMerged } from '../models/policies.js';
import { RunFolder } from '../pipelines/store/run-folder.js';
import { once, wholeNumber } from './arguments.js';
import { freeFolder } from './free-folder.js';
import { print } from './print.js';

interface Arguments {
  readonly from: string;
  readonly merged: unknown;
  readonly base: unknown;
  readonly step: unknown;
}

/** `segr1 export FROM --merged DIR`: writes a trained policy as a standalone checkpoint. */
export const exportCommand: CommandModule<object, Arguments> = {
  command: 'export <from>',
  describe: 'write what was trained as a checkpoint that stands alone, an adapter folded in',
  builder: (parser: Argv) =>
    parser
      .positional('from', {
        type: 'string',
        demandOption: true,
        describe: 'folder of a run, a checkpoint or an adapter',
      })
      .option('merged', {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'folder to write, new or empty',
      })
      .option('base', {
        type: 'string',
        requiresArg: true,
        describe: 'checkpoint that an adapter belongs to; the one that it names by default',
      })
      .option('step', {
        type: 'string',
        requiresArg: true,
        describe: 'which checkpoint of a run; the newest by default',
      }),
  handler: async (given) => {
    const [merged, base, step] = [
      once(given.merged, 'merged') ?? '',
      once(given.base, 'base'),
      once(given.step, 'step'),
    ];
    const from = checkpointOf(given.from, step === undefined ? undefined : wholeNumber(step, 'step'));
    const to = freeFolder(merged, 'merged');
    print(await exported(from, to, base).catch(placed(to)));
  },
};

/** Adds the folder to the system's own errors: for a full disk they name no place. */
const placed =
  (folder: string) =>
  (error: unknown): never => {
    if (error instanceof Error && 'syscall' in error) noRoom(folder, 'a checkpoint')(error);
    throw error;
  };

/** @returns a message about what was written. */
async function exported(from: string, to: string, base: string | undefined): Promise<string> {
  if (!existsSync(join(from, 'adapter_config.json'))) {
    if (base !== undefined)
      throw new UsageError(`--base: expected it with an adapter; got ${shortPath(from)}, a whole checkpoint`);
    await copyCheckpoint(from, to);
    return `${shortPath(to)}  a copy of ${shortPath(from)}`;
  }
  const below = base ?? (await baseOf(from));
  if (!existsSync(join(below, 'config.json'))) {
    const where =
      base === undefined ? `${shortPath(join(from, 'adapter_config.json'))}  base_model_name_or_path` : '--base';
    throw new UsageError(
      `${where}: expected the folder of a checkpoint; got ${JSON.stringify(below)}${base === undefined ? ', which is none here; way out: --base DIR' : ''}`,
    );
  }
  const count = await exportMerged(below, from, to);
  return `${shortPath(to)}  ${shortPath(below)} with ${count} matrices of ${shortPath(from)} folded in`;
}

/** The folder itself where it is a checkpoint or an adapter, else the run's newest checkpoint, or that of a step. */
function checkpointOf(from: string, step: number | undefined): string {
  const stands = ['config.json', 'adapter_config.json'].some((file) => existsSync(join(from, file)));
  if (stands && step !== undefined)
    throw new UsageError(`--step: expected it with a run, which has several; got ${from}, a checkpoint of its own`);
  if (stands) return resolve(from);
  const found = new RunFolder(from).lastCheckpoint(step);
  const wanted =
    step === undefined ? 'a run with a checkpoint, a checkpoint or an adapter' : `a run with checkpoints/step-${step}`;
  if (found === undefined)
    throw new UsageError(
      `${from}  export: expected ${wanted}; got ${existsSync(from) ? 'a folder without' : 'nothing of that name'}`,
    );
  return found;
}
