import { existsSync } from 'node:fs';

import type { Argv, CommandModule } from 'yargs';

import { shown, UsageError } from '../errors.js';
import { unusedText, type InspectedSegmenter, type Memory, type Stored } from '../models/inspected.js';
import {
  FULL_HOST,
  inspectPolicy,
  type InspectedAdapter,
  type InspectedCheckpoint,
  type Use,
} from '../models/policies.js';
import { inspectSegmenter } from '../models/segmenters.js';
import { once, wholeNumber } from './arguments.js';
import { print } from './print.js';
import { withExamples } from './examples.js';

interface Arguments {
  readonly folder: string;
  readonly frame: unknown;
  readonly group: unknown;
  readonly maxTokens: unknown;
  readonly prompts: unknown;
  readonly precision: unknown;
  readonly device: unknown;
  readonly gradientCheckpointing: unknown;
  readonly ema: unknown;
  readonly base: unknown;
  readonly json: unknown;
}

/** `segr1 models inspect FOLDER`: describes a model, and the memory of its runs. */
export const modelsCommand: CommandModule = {
  command: 'models',
  describe: 'look at models',
  builder: (parser: Argv) =>
    parser.command(withExamples(inspectCommand(), 'models')).demandCommand(1, 'models: expected inspect; got nothing'),
  handler: () => {},
};

function inspectCommand(): CommandModule<object, Arguments> {
  const text = (describe: string) => ({ type: 'string', requiresArg: true, describe }) as const;
  return {
    command: 'inspect <folder>',
    describe: 'architecture, weights, and the memory of rollouts and training; reads headers only',
    builder: (parser: Argv) =>
      parser
        .positional('folder', {
          type: 'string',
          demandOption: true,
          describe: 'folder of a policy, an adapter of one, or a segmenter',
        })
        .option('frame', text('side of the square that is shown, px; 768 by default'))
        .option('group', text('completions a prompt; 8 by default'))
        .option('max-tokens', text('tokens of a completion; 400 by default'))
        .option('prompts', text('prompts in one run, of a segmenter objects; 1 by default'))
        .option(
          'precision',
          text('of products: float32, bfloat16 or, of a rollout on a GPU, float16; float32 by default'),
        )
        .option('device', text('cpu, or cuda for what is taken of a GPU; cpu by default'))
        .option('gradient-checkpointing', {
          type: 'boolean',
          describe: 'training with policy.gradientCheckpointing',
        })
        .option('ema', { type: 'boolean', describe: 'training with ema, a running average of the weights' })
        .option('base', text('checkpoint that an adapter belongs to; the one that it names by default'))
        .option('json', { type: 'boolean', describe: 'print JSON, in bytes' }) as unknown as Argv<Arguments>,
    handler: async (given) => {
      const use = useOf(given);
      if (!existsSync(given.folder))
        throw new UsageError(
          `${shown(given.folder)}  models inspect: expected the folder of a policy, an adapter or a segmenter; got nothing there`,
        );
      // Anything else is refused by the policies' reader, since an adapter's folder has no model configuration.
      const seen =
        (await inspectSegmenter(given.folder, use)) ??
        (await inspectPolicy(given.folder, use, once(given.base, 'base')));
      print(given.json ? JSON.stringify(seen, null, 2) : textOf(seen));
    },
  };
}

function textOf(seen: InspectedAdapter | InspectedCheckpoint | InspectedSegmenter): string {
  if (seen.kind === 'adapter') return adapterText(seen);
  return seen.kind === 'segmenter' ? segmenterText(seen) : checkpointText(seen);
}

/** @throws {UsageError} if the option is none of some words. */
function oneOf<Word extends string>(value: unknown, option: string, words: readonly [Word, ...Word[]]): Word {
  const text = once(value, option) ?? words[0];
  const found = words.find((word) => word === text);
  if (found === undefined)
    throw new UsageError(`--${option}: expected ${words.slice(0, -1).join(', ')} or ${words.at(-1)}; got ${text}`);
  return found;
}

function useOf({ frame, group, maxTokens, prompts, precision, device, gradientCheckpointing, ema }: Arguments): Use {
  const whole = (value: unknown, option: string, otherwise: number): number => {
    const text = once(value, option);
    return text === undefined ? otherwise : wholeNumber(text, option);
  };
  const on = oneOf(device, 'device', ['cpu', 'cuda']);
  const kind = oneOf(
    precision,
    'precision',
    on === 'cuda' ? ['float32', 'bfloat16', 'float16'] : ['float32', 'bfloat16'],
  );
  return {
    frame: whole(frame, 'frame', 768),
    group: whole(group, 'group', 8),
    maxTokens: whole(maxTokens, 'max-tokens', 400),
    prompts: whole(prompts, 'prompts', 1),
    precision: kind,
    device: on,
    gradientCheckpointing: gradientCheckpointing === true,
    ema: ema === true,
  };
}

function adapterText({ folder, rank, parameters, stored, base, checkpoint }: InspectedAdapter): string {
  const head = [
    ['adapter', folder],
    ['rank', String(rank)],
    ['weights', millions(parameters)],
    ['stored', storedText(stored)],
    ['base', checkpoint ? base : `${base}, which is no folder here; --base DIR names one`],
  ];
  return `${table(head)}${checkpoint ? `\n\n${checkpointText(checkpoint)}` : ''}`;
}

function checkpointText({
  folder,
  architecture,
  parameters,
  tied,
  stored,
  unused,
  use,
  memory,
  host,
}: InspectedCheckpoint): string {
  const { all, language, vision, embeddings } = parameters;
  const head = [
    ['model', `${folder}  ${architecture}`],
    [
      'weights',
      `${millions(all)}: language ${millions(language)}, vision ${millions(vision)}, embeddings ${millions(embeddings)}`,
    ],
    ['head', tied ? 'the embedding table' : 'of its own'],
    ['stored', storedText(stored)],
    ...unusedLine(unused),
    [
      'run',
      `frame ${use.frame}, group ${use.group}, ${use.maxTokens} tokens, ${use.prompts} ${use.prompts === 1 ? 'prompt' : 'prompts'} a run, ${use.precision}${use.device === 'cuda' ? ' on CUDA' : ''}${use.gradientCheckpointing === true ? ', gradient checkpointing' : ''}${use.ema === true ? ', weights averaged' : ''}`,
    ],
  ];
  const beside =
    host !== undefined && FULL_HOST in memory
      ? `\n${FULL_HOST}: policy.optimizer: host, which takes ${(host / 1e9).toFixed(1)} GB of the host's memory.`
      : '';
  return `${table(head)}\n\n${memoryText(memory, use.device)}${beside}`;
}

function segmenterText({
  folder,
  architecture,
  size,
  parameters,
  stored,
  unused,
  embedding,
  device,
  memory,
}: InspectedSegmenter): string {
  const head = [
    ['model', `${folder}  ${architecture}`],
    ['weights', millions(parameters)],
    ['stored', storedText(stored)],
    ...unusedLine(unused),
    ['looks at', `${size} × ${size} px`],
    ['keeps', `${(embedding / 2 ** 20).toFixed(1)} MiB an image`],
  ];
  return `${table(head)}\n\n${memoryText(memory, device)}`;
}

function unusedLine(unused: readonly string[]): string[][] {
  const text = unusedText(unused);
  return text === undefined ? [] : [['unused', text]];
}

/** Not included in any sum. */
const BESIDE =
  "Computed, and held to a stand-in for a GPU: not measured on one. CUDA's own context and its libraries' workspaces come beside it, about 1 GB.";

function memoryText(memory: Readonly<Record<string, Memory>>, device: Use['device']): string {
  return `${memoryTable(memory)}${device === 'cuda' ? `\n\n${BESIDE}` : ''}`;
}

function memoryTable(memory: Readonly<Record<string, Memory>>): string {
  const jobs = Object.entries(memory);
  const parts = [...new Set(jobs.toReversed().flatMap(([, { parts: own }]) => Object.keys(own)))];
  const gigabytes = (bytes: number | undefined): string => (bytes === undefined ? '' : (bytes / 1e9).toFixed(1));
  const rows = [
    ['GB', ...jobs.map(([job]) => job)],
    ...parts.map((part) => [part, ...jobs.map(([, { parts: own }]) => gigabytes(own[part]))]),
    ['in all', ...jobs.map(([, { total }]) => gigabytes(total))],
  ];
  return rows
    .map(([part = '', ...values]) => part.padEnd(22) + values.map((value) => value.padStart(10)).join(''))
    .join('\n');
}

const millions = (count: number): string => `${(count / 1e6).toLocaleString('en', { maximumFractionDigits: 1 })} M`;
const storedText = ({ files, bytes, dtypes }: Stored): string =>
  `${dtypes.join(', ')}, ${files} ${files === 1 ? 'file' : 'files'}, ${(bytes / 1e9).toFixed(2)} GB`;
const table = (rows: readonly string[][]): string =>
  rows.map(([name = '', value = '']) => name.padEnd(9) + value).join('\n');
