#!/usr/bin/env node
import { inspect } from 'node:util';

import { examplesText, withExamples } from './cli/examples.js';
import { loaded } from './cli/loaded.js';
import { DataError, messageOf, ModelError, UsageError } from './errors.js';
import { inLine } from './printable.js';
import { tell } from './cli/print.js';

// A closed pipe or terminal does not stop the run.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

try {
  const {
    codeVersion,
    compareCommand,
    doctorCommand,
    exportCommand,
    gpuCommand,
    hideBin,
    modelsCommand,
    pipelineCommand,
    prepareCommand,
    refusal,
    scoreCommand,
    segmentCommand,
    stagesCommand,
    yargs,
  } = await loaded(() => import('./cli/commands.js'));
  const words = hideBin(process.argv);
  await yargs(words)
    .scriptName('segr1')
    .usage('$0 COMMAND: teaches a vision-language policy to segment')
    .command(withExamples(pipelineCommand))
    .command(withExamples(segmentCommand))
    .command(withExamples(prepareCommand))
    .command(withExamples(scoreCommand))
    .command(withExamples(compareCommand))
    .command(withExamples(stagesCommand))
    .command(withExamples(exportCommand))
    .command(withExamples(modelsCommand))
    .command(withExamples(gpuCommand))
    .command(withExamples(doctorCommand))
    .completion('completion', "print the shell's completion script: segr1 completion >> ~/.bashrc, or ~/.zshrc")
    .epilogue(examplesText('segr1'))
    .version(codeVersion())
    .alias({ help: 'h', version: 'v' })
    .demandCommand(1, 'command: expected one; got none')
    .strict()
    .parserConfiguration({ 'boolean-negation': false, 'dot-notation': false })
    .fail((message, error, parser) => {
      // yargs' own error has a message and no help of its own.
      const said = error === undefined ? message : error.name === 'YError' ? error.message : undefined;
      if (said === undefined) throw error;
      throw new UsageError(refusal({ message: said, help: parser.help() as unknown as string, words }));
    })
    .parseAsync();
} catch (error) {
  process.exitCode = error instanceof UsageError ? 2 : 1;
  tell(error instanceof DataError ? inLine(error.message) : expected(error) ? messageOf(error) : inspect(error));
}

/** Whether an error's message is enough; others are bugs, and their stack helps. */
function expected(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(expected);
  // A size that no memory holds.
  if (error instanceof RangeError && /allocation failed|Invalid (typed )?array/i.test(error.message)) return true;
  return (
    [UsageError, DataError, ModelError].some((kind) => error instanceof kind) ||
    (error instanceof Error && error.name === 'Error')
  );
}
