import type { Argv, CommandModule } from 'yargs';

import { defined } from '../defined.js';
import type { Scores } from '../operators/score.js';
import type { Tally } from '../operators/tally.js';
import { shortPath, UsageError } from '../errors.js';
import { inLine } from '../printable.js';
import { noticesOf } from '../pipelines/config/notices.js';
import { planOf } from '../pipelines/config/plan.js';
import { progress } from '../pipelines/run/progress.js';
import { duration } from '../pipelines/run/progress-line.js';
import { readPipeline, resolved, resolvedYaml, type Pipeline } from '../pipelines/config/read.js';
import type { RunEvent, Summary, RunListener } from '../pipelines/events.js';
import { RunFolder } from '../pipelines/store/run-folder.js';
import { run } from '../pipelines/run/run.js';
import { benchmarkTable } from '../report/benchmark-table.js';
import { plain } from '../report/table.js';
import { gainTable, tallyTable } from '../report/tally-table.js';
import { headline, scoreTable } from '../report/score-table.js';
import { setsTables } from '../report/sets-table.js';
import { once, wholeNumber } from './arguments.js';
import { onInterrupt } from './interrupt.js';
import { planText, secondsOf, speedHere } from './plan.js';
import { print, tell } from './print.js';

interface Arguments {
  readonly pipeline: string;
  readonly set: unknown;
  readonly check: unknown;
  readonly runModules: unknown;
  readonly json: unknown;
  readonly maxSteps: unknown;
  readonly run: unknown;
  readonly resume: unknown;
  readonly pipelines: unknown;
}

/** `segr1 pipeline NAME|FILE`: checks a pipeline and runs it. */
export const pipelineCommand: CommandModule<object, Arguments> = {
  command: 'pipeline <pipeline>',
  describe: 'run a pipeline: a YAML file, or a name in pipelines.yaml',
  builder: (parser: Argv) =>
    parser
      .positional('pipeline', { type: 'string', demandOption: true, describe: 'train.yaml, or a name such as train' })
      .option('set', {
        type: 'string',
        requiresArg: true,
        describe: 'override one value, as in rollout.group=16; may be repeated',
      })
      .option('check', { type: 'boolean', describe: 'print the checked pipeline and stop' })
      .option('run-modules', {
        type: 'boolean',
        describe: 'with --check: also run the modules that the pipeline names, to check what only they tell',
      })
      .option('json', { type: 'boolean', describe: 'print JSON lines and nothing else' })
      .option('max-steps', { type: 'string', requiresArg: true, describe: 'stop after so many optimizer steps' })
      .option('run', { type: 'string', requiresArg: true, describe: 'folder of the run; runs/NAME-TIME by default' })
      .option('resume', {
        type: 'string',
        describe:
          'resume the run in --run, by default the newest: at its newest checkpoint, or one such as step-20; without any, from its beginning',
      })
      .option('pipelines', {
        type: 'string',
        requiresArg: true,
        describe: 'file in which names are looked up',
      }) as unknown as Argv<Arguments>,
  handler: async (given) => {
    process.exitCode = await ran(given);
  },
};

/** @returns the exit code. */
async function ran(given: Arguments): Promise<number> {
  const [pipelines, folder, steps] = [
    once(given.pipelines, 'pipelines'),
    once(given.run, 'run'),
    once(given.maxSteps, 'max-steps'),
  ];
  const resume = once(given.resume, 'resume');
  const maxSteps = steps === undefined ? undefined : wholeNumber(steps, 'max-steps');
  const set = given.set === undefined ? [] : [given.set].flat().map(String);
  if (given.runModules && !given.check)
    throw new UsageError('--run-modules: expected --check beside it; got none; way out: a run runs them anyway');
  const pipeline = await readPipeline(given.pipeline, {
    set,
    runModules: !given.check || given.runModules === true,
    ...defined({ pipelinesFile: pipelines }),
  });
  if (given.check) return await checked(pipeline, given.json === true, maxSteps);
  const show = progress(given.json ? 'json' : process.stdout.isTTY ? 'terminal' : 'lines', process.stdout);
  const ending = given.json ? () => {} : tables();
  const watch = (report: RunEvent): void => {
    show(report);
    ending(report);
  };
  const interrupt = new AbortController();
  const release = onInterrupt(() => interrupt.abort());
  try {
    const options = {
      signal: interrupt.signal,
      watch,
      ...defined({ folder, maxSteps, resume: resume === '' ? true : resume }),
    } as const;
    const { stopped } = await run(pipeline, options);
    return stopped === 'cancelled' ? 130 : 0;
  } finally {
    release();
  }
}

/** Prints what would run, to standard error; the pipeline itself is a pipeline again. @returns the exit code. */
async function checked(pipeline: Pipeline, json: boolean, maxSteps: number | undefined): Promise<number> {
  const plan = await planOf(pipeline, maxSteps);
  const speed = plan.policy || plan.segmenter || plan.evaluation?.policy ? await speedHere() : undefined;
  for (const text of [...uncheckedIn(pipeline), ...(await noticesOf(pipeline))]) tell(inLine(text));
  if (json) {
    const { policy, segmenter: _, evaluation: __, ...known } = plan;
    const seconds = speed && secondsOf(plan, speed);
    const would = { ...known, ...defined({ seconds: policy && seconds }) };
    const line = { name: pipeline.name, ...resolved(pipeline), plan: would, unchecked: pipeline.unchecked };
    print(JSON.stringify(line));
    return 0;
  }
  print(resolvedYaml(pipeline).replace(/\n$/, ''));
  for (const line of planText(plan, speed)) tell(inLine(line));
  return 0;
}

/** What looking alone doesn't tell. */
function uncheckedIn({ unchecked }: Pipeline): string[] {
  return unchecked.map(
    (file) =>
      `${shortPath(file)}  unchecked: what it exports, and options of it; the module was not run; way out: --run-modules`,
  );
}

/** Prints the results of a finished run: all metrics of an evaluation, the gain of training. */
function tables(): RunListener {
  let counted: Tally | undefined;
  let scores: Scores | undefined;
  return (report) => {
    if (report.kind === 'tally') counted = report.tally;
    if (report.kind === 'scores') scores = report.scores;
    if (report.kind === 'benchmark') print(`\n${plain(benchmarkTable(report.result))}\n`);
    if (report.kind === 'gain') print(`\n${plain(gainTable(report))}`);
    if (report.kind !== 'end') return;
    if (counted && report.summary.steps === 0) print(`\n${plain(tallyTable(counted))}\n`);
    for (const table of setsTables(scores?.sets ?? [], scores?.protocol ?? 'standard'))
      print(`all sets\n${plain(table)}\n`);
    for (const set of scores?.sets ?? [])
      print(`${inLine(set.set)}\n${plain(scoreTable(set, headline(set, scores?.protocol ?? 'standard')))}\n`);
    print(summaryText(report.summary));
    if (scores) print(`report   ${shortPath(new RunFolder(report.summary.folder).report)}`);
  };
}

/** The results of a run, in lines for people. */
function summaryText({
  folder,
  rowsIn,
  rowsOut,
  marked,
  unread = {},
  steps,
  tokens,
  seconds,
  elapsed,
  stopped,
}: Summary): string {
  const marks = Object.entries(marked).flatMap(([stage, reasons]) =>
    Object.entries(reasons).map(([reason, count]) => ['marked', `${count}  ${stage}: ${reason}`]),
  );
  const busy = Object.entries(seconds).map(([stage, spent]) => `${stage} ${spent.toFixed(1)}`);
  const why = {
    cancelled: 'interrupted',
    steps: 'as many steps as were asked for',
    faults: 'too many rows that cannot be used',
  };
  const lines = [
    ['rows', `${rowsIn} in, ${rowsOut} out`],
    ...marks,
    ...Object.entries(unread).map(([reason, count]) => ['unread', `${count}  ${reason}`]),
    ...(steps > 0 ? [['steps', String(steps)]] : []),
    ...(tokens > 0 ? [['tokens', `${tokens}, ${Math.round(tokens / Math.max(elapsed, 0.001))} a second`]] : []),
    ['time', `${duration(elapsed)}; seconds with rows inside: ${busy.join(', ')}`],
    ...(stopped ? [['stopped', why[stopped]]] : []),
    ['run', shortPath(folder)],
  ];
  return lines.map(([name, text]) => `${name.padEnd(9)}${inLine(text)}`).join('\n');
}
