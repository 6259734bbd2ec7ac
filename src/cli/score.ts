import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';

import cliProgress from 'cli-progress';
import type { Argv, CommandModule } from 'yargs';

import { pairFolders, scoreFolders, type PicturePairs } from '../operators/scoring/score-folders.js';
import type { Scores } from '../operators/score.js';
import { openScorer } from '../operators/scoring/scorer.js';
import { shortPath } from '../errors.js';
import { leftOut } from '../io/dataset.js';
import { folderName } from '../io/folder-name.js';
import { plain } from '../report/table.js';
import { headline, scoreTable } from '../report/score-table.js';
import { RunFolder } from '../pipelines/store/run-folder.js';
import { writeItems, writeSummary } from '../report/summary-files.js';
import { inLine } from '../printable.js';
import { once } from './arguments.js';
import { freeFolder } from './free-folder.js';
import { print, tell } from './print.js';

interface Arguments {
  readonly predictions: unknown;
  readonly truth: unknown;
  readonly metrics: 'saliency' | 'referring';
  readonly json: unknown;
  readonly out: unknown;
  readonly name: unknown;
}

/** `segr1 score`: metrics of a folder of mask pictures, without any model. */
export const scoreCommand: CommandModule<object, Arguments> = {
  command: 'score',
  describe: 'score a folder of mask pictures against a folder of truths',
  builder: (parser: Argv) =>
    parser
      .option('predictions', {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe:
          'folder of predicted masks, named as their truths, or what segment wrote; grey levels are confidences',
      })
      .option('truth', {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'folder of true masks; pixels over 128 are the object',
      })
      .option('metrics', {
        choices: ['saliency', 'referring'] as const,
        default: 'saliency',
        describe: 'the saliency set, or the conventions of referring expressions',
      })
      .option('json', { type: 'boolean', describe: 'print JSON and nothing else' })
      .option('name', {
        type: 'string',
        requiresArg: true,
        describe: 'what the predictions are called in tables; by default as their folder',
      })
      .option('out', {
        type: 'string',
        requiresArg: true,
        describe: 'folder for summary.json, summary.md, summary.tex, report.html and scores.jsonl',
      }) as unknown as Argv<Arguments>,
  handler: async (given) => {
    const predictions = resolve(once(given.predictions, 'predictions') ?? '');
    const truth = resolve(once(given.truth, 'truth') ?? '');
    const asked = once(given.out, 'out');
    const out = asked === undefined ? undefined : freeFolder(asked, 'out');
    const pairs = pairFolders(predictions, truth);
    const name = once(given.name, 'name') ?? folderName(predictions);
    for (const text of leftOutOf({ predictions, truth })) tell(text);
    const { scores, items } = await scored(
      pairs,
      given.metrics === 'saliency' ? 'foreground' : 'referring',
      folderName(truth),
    );
    if (out !== undefined) {
      mkdirSync(out, { recursive: true });
      const folder = new RunFolder(out);
      await writeItems(folder, items);
      writeSummary(folder, name, { scores });
    }
    print(
      given.json
        ? JSON.stringify({ name, missing: pairs.missing, extra: pairs.extra, ...scores })
        : [scoreText(pairs, scores), ...(out === undefined ? [] : [`written  ${shortPath(out)}`])].join('\n'),
    );
  },
};

async function scored(pairs: PicturePairs, kind: 'foreground' | 'referring', set: string) {
  // A bar on a terminal, and elsewhere a line every few seconds.
  const bar = new cliProgress.SingleBar(
    {
      stream: process.stderr,
      noTTYOutput: true,
      notTTYSchedule: 3000,
      format: '{bar} {percentage}%  {value}/{total} images  left {eta_formatted}',
    },
    cliProgress.Presets.shades_classic,
  );
  const scorer = openScorer(Math.min(availableParallelism(), pairs.items.length));
  bar.start(pairs.items.length, 0);
  try {
    return await scoreFolders(scorer, pairs, kind, set, () => bar.increment());
  } finally {
    bar.stop();
    await scorer.release();
  }
}

/** What lies in the folders and is no picture. */
function leftOutOf(folders: Readonly<Record<string, string>>): string[] {
  return Object.entries(folders).flatMap(([option, folder]) => {
    const what = leftOut(folder);
    return what === undefined ? [] : [`${option}  ${shortPath(folder)}: left out ${what}`];
  });
}

function scoreText({ items, missing, extra }: PicturePairs, { sets: [set], protocol }: Scores): string {
  const listed = (what: string, names: readonly string[]): string[] =>
    names.length === 0
      ? []
      : [`${what}  ${names.length}: ${names.slice(0, 10).map(inLine).join(', ')}${names.length > 10 ? ', …' : ''}`];
  return [
    ...(set ? [plain(scoreTable(set, headline(set, protocol))), ''] : []),
    `images   ${items.length}, each counted once`,
    ...listed('missing', missing),
    ...listed('extra  ', extra),
  ].join('\n');
}
