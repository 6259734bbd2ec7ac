#!/usr/bin/env node
import { loaded } from './cli/loaded.js';
import { DataError, messageOf, ModelError, UsageError } from './errors.js';

// A closed pipe or terminal does not stop the run.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

try {
  const {
    compareCommand,
    doctorCommand,
    exportCommand,
    gpuCommand,
    hideBin,
    modelsCommand,
    pipelineCommand,
    prepareCommand,
    scoreCommand,
    segmentCommand,
    stagesCommand,
    yargs,
  } = await loaded(() => import('./cli/commands.js'));
  await yargs(hideBin(process.argv))
    .scriptName('segr1')
    .usage('$0 COMMAND: teaches a vision-language policy to segment')
    .command(pipelineCommand)
    .command(segmentCommand)
    .command(prepareCommand)
    .command(scoreCommand)
    .command(compareCommand)
    .command(stagesCommand)
    .command(exportCommand)
    .command(modelsCommand)
    .command(gpuCommand)
    .command(doctorCommand)
    .demandCommand(1, 'command: expected one; got none')
    .strict()
    .parserConfiguration({ 'boolean-negation': false, 'dot-notation': false })
    .fail((message, error, parser) => {
      throw error ?? new UsageError(`${message.trim()}\n\n${parser.help() as unknown as string}`);
    })
    .parseAsync();
} catch (error) {
  process.exitCode = error instanceof UsageError || (error instanceof Error && error.name === 'YError') ? 2 : 1;
  console.error(expected(error) ? messageOf(error) : error);
}

/** Whether an error's message is enough; others are bugs, and their stack helps. */
function expected(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(expected);
  // A size that no memory holds.
  if (error instanceof RangeError && /allocation failed|Invalid (typed )?array/i.test(error.message)) return true;
  return (
    [UsageError, DataError, ModelError].some((kind) => error instanceof kind) ||
    (error instanceof Error && ['Error', 'YError'].includes(error.name))
  );
}
