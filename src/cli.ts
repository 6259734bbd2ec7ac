#!/usr/bin/env node
import { inspect } from 'node:util';

import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';

import { compareCommand } from './cli/compare.js';
import { doctorCommand } from './cli/doctor.js';
import { exportCommand } from './cli/export.js';
import { gpuCommand } from './cli/gpu.js';
import { modelsCommand } from './cli/models.js';
import { pipelineCommand } from './cli/pipeline.js';
import { prepareCommand } from './cli/prepare.js';
import { scoreCommand } from './cli/score.js';
import { segmentCommand } from './cli/segment.js';
import { stagesCommand } from './cli/stages.js';
import { DataError, messageOf, ModelError, UsageError } from './errors.js';
import { inLine } from './printable.js';
import { tell } from './cli/print.js';

// A closed pipe or terminal does not stop the run.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

try {
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
  tell(error instanceof DataError ? inLine(error.message) : expected(error) ? messageOf(error) : inspect(error));
}

/** Whether an error's message is enough; others are bugs, and their stack helps. */
function expected(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(expected);
  return (
    [UsageError, DataError, ModelError].some((kind) => error instanceof kind) ||
    (error instanceof Error && ['Error', 'YError'].includes(error.name))
  );
}
