import { resolve } from 'node:path';

import type { Argv, CommandModule } from 'yargs';

import { shortPath, UsageError } from '../errors.js';
import { findPairs } from '../io/dataset.js';
import { camoSteps, nonCamSteps } from '../io/prepare/cod.js';
import { jpegSteps } from '../io/prepare/jpeg.js';
import { listSteps } from '../io/prepare/list.js';
import type { Step } from '../io/prepare/step.js';
import { setItems, setNames, type SetName } from '../io/sets/named.js';
import { once } from './arguments.js';
import { inLine } from '../printable.js';
import { print, tell } from './print.js';

interface Arguments {
  readonly what: 'jpeg' | 'cod10k' | 'camo' | 'list';
  readonly path: string;
  readonly replace: unknown;
  readonly overwrite: unknown;
  readonly dryRun: unknown;
  readonly set: unknown;
  readonly root: unknown;
  readonly split: unknown;
  readonly images: unknown;
  readonly masks: unknown;
}

/** `segr1 prepare WHAT PATH`: converts a published set to the layout of `load`. Finished steps are not repeated. */
export const prepareCommand: CommandModule<object, Arguments> = {
  command: 'prepare <what> <path>',
  describe: 'bring a data set into shape: pictures to JPEG, COD10K, CAMO, or a list of images and masks',
  builder: (parser: Argv) =>
    parser
      .positional('what', {
        choices: ['jpeg', 'cod10k', 'camo', 'list'] as const,
        demandOption: true,
        describe: 'what to do',
      })
      .positional('path', { type: 'string', demandOption: true, describe: 'the folder; of list the file to write' })
      .option('dry-run', { type: 'boolean', describe: 'print what would be done and stop' })
      .option('replace', { type: 'boolean', describe: 'jpeg: remove each picture once its JPEG is there' })
      .option('overwrite', { type: 'boolean', describe: 'list: write it in the place of another file' })
      .option('set', { type: 'string', requiresArg: true, describe: `list: ${setNames.join(', ')}` })
      .option('root', { type: 'string', requiresArg: true, describe: 'list: folder of the set' })
      .option('split', { type: 'string', requiresArg: true, describe: 'list: part of the set' })
      .option('images', { type: 'string', requiresArg: true, describe: 'list: folder of images, instead of a set' })
      .option('masks', {
        type: 'string',
        requiresArg: true,
        describe: 'list: folder of masks',
      }) as unknown as Argv<Arguments>,
  handler: async (given) => {
    const { steps, skipped } = await planned(given);
    for (const image of skipped) tell(inLine(`${shortPath(image)}  no mask, skipped`));
    for (const step of steps) {
      print(inLine(step.text));
      if (given.dryRun !== true) await step.run();
    }
    if (steps.length === 0) print('nothing to do');
  },
};

async function planned({
  what,
  path,
  replace,
  ...given
}: Arguments): Promise<{ steps: readonly Step[]; skipped: readonly string[] }> {
  if (what === 'jpeg') return { steps: await jpegSteps(path, { replace: replace === true }), skipped: [] };
  if (what === 'cod10k') return { steps: nonCamSteps(path), skipped: [] };
  if (what === 'camo') return { steps: camoSteps(path), skipped: [] };

  const overwrite = given.overwrite === true;
  const [set, root, split, images, masks] = (['set', 'root', 'split', 'images', 'masks'] as const).map((name) =>
    once(given[name], name),
  );
  if (set === undefined) {
    if (images === undefined || masks === undefined)
      throw new UsageError('list: expected --set and --root, or --images and --masks; got neither');
    return listSteps(path, findPairs({ images: resolve(images), masks: resolve(masks) }).all, { overwrite });
  }
  if (!isSet(set) || root === undefined)
    throw new UsageError(
      `list: expected --set of ${setNames.join(', ')}, and --root; got ${set} and ${root ?? 'nothing'}`,
    );
  // A list holds pictures of masks; expressions and outlines stay in their own files.
  const pairs = setItems({ set, root, split, images });
  if (pairs.some(({ mask }) => mask?.includes('.json')))
    throw new UsageError(`list: expected a set with pictures of masks; got ${set}`);
  return listSteps(path, pairs, { overwrite });
}

function isSet(name: string): name is SetName {
  return (setNames as readonly string[]).includes(name);
}
