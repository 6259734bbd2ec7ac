import type { Argv, CommandModule } from 'yargs';

import { UsageError } from '../errors.js';
import { inLine } from '../printable.js';
import { markdownTable, markdownText, plain } from '../report/table.js';
import { apart } from '../report/apart.js';
import { compared, comparisonTables } from '../report/compare.js';
import { BESIDE } from '../report/paper-table.js';
import { folderNames } from '../io/folder-name.js';
import { RunFolder } from '../pipelines/store/run-folder.js';
import { readRun } from '../report/runs.js';
import { print } from './print.js';

interface Arguments {
  readonly runs: readonly string[];
  readonly json: unknown;
  readonly markdown: unknown;
}

/** `segr1 compare RUN RUN…`: results of runs side by side, and beside the paper. */
export const compareCommand: CommandModule<object, Arguments> = {
  command: 'compare <runs..>',
  describe: 'set runs side by side: differences by row, the paper’s numbers, benchmarks',
  builder: (parser: Argv) =>
    parser
      .positional('runs', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'folders of runs; differences are to the first',
      })
      .option('json', { type: 'boolean', describe: 'print JSON' })
      .option('markdown', { type: 'boolean', describe: 'print Markdown' }),
  handler: async ({ runs, json, markdown }) => {
    if (json && markdown) throw new UsageError('compare: expected --json or --markdown; got both');
    const names = folderNames(runs);
    const comparison = compared(
      apart(
        await Promise.all(runs.map(async (run, i) => ({ ...(await readRun(new RunFolder(run))), name: names[i] }))),
      ),
    );
    if (json) return print(JSON.stringify(comparison));
    const parts = comparisonTables(comparison).map(([heading, table]) =>
      markdown ? `## ${markdownText(heading)}\n\n${markdownTable(table)}` : `${inLine(heading)}\n\n${plain(table)}\n`,
    );
    print([...parts, ...(comparison.sets.some(({ paper }) => paper) ? [BESIDE] : [])].join('\n'));
  },
};
