import { extname } from 'node:path';

import { shown } from '../errors.js';
import { isPicture } from '../io/dataset.js';
import { pipelineNames } from '../pipelines/config/find.js';
import { nearest } from '../nearest.js';
import { EXAMPLES } from './examples.js';

/** A command line that was refused. */
export interface Refused {
  /** yargs' own message. */
  readonly message: string;
  /** Help of the command that refused; its first line is the usage. */
  readonly help: string;
  /** The words behind `segr1`. */
  readonly words: readonly string[];
}

/** What is wrong with a command line, in the form of all messages, and what was probably meant. */
export function refusal({ message, help, words }: Refused): string {
  const [usage = ''] = help.split('\n');
  const where = /^segr1(?: [a-z0-9]+)*/.exec(usage)?.[0] ?? 'segr1';
  const { commands, options } = namedIn(help);
  const named = /^Unknown (?:argument|command)s?: (.*)$/s.exec(message)?.[1]?.split(', ');
  // yargs misses a command before it looks at options.
  const unknown = named ?? words.filter((word) => /^-./.test(word) && !options.includes(key(word))).map(bare);
  if (named === undefined && commands.length > 0 && unknown.length === 0) return `${message}\n\n${help}`;

  const faults =
    named === undefined && commands.length === 0
      ? [plainer(message, usage)]
      : unknown
          .filter((name) => !unknown.some((other) => other !== name && camelCased(other) === name))
          .map((name) => ({ name, option: words.some((word) => isOption(word, name)) }))
          .toSorted((a, b) => Number(a.option) - Number(b.option))
          .map(({ name, option }) => {
            if (option) return unknownOption(name, options);
            return commands.length > 0 ? unknownCommand(name, commands, where, words) : extraWord(name, usage, words);
          });
  // Beside an unknown command, all else means nothing yet.
  const told = commands.length > 0 ? faults.slice(0, 1) : faults;
  return [...told.map((fault) => `${where}  ${fault}`), `see ${where} --help`].join('\n');
}

/** Commands and options that a help lists; options with their dashes. */
function namedIn(help: string): { readonly commands: readonly string[]; readonly options: readonly string[] } {
  const [lists = ''] = help.split(`\n${EXAMPLES}\n`);
  const all = (pattern: RegExp): string[] => [...lists.matchAll(pattern)].map(([, name = '']) => name);
  return {
    commands: all(/^ {2}segr1(?: [a-z0-9]+)* ([a-z0-9]+)(?: [<[]|  |$)/gm),
    options: all(/^ {2,}(?:-\w, )?(--[\w-]+)/gm),
  };
}

const key = (word: string): string => word.split('=', 1)[0] ?? word;
const bare = (word: string): string => key(word).replace(/^-+/, '');
const camelCased = (name: string): string => name.replaceAll(/-+(\w)/g, (_, letter: string) => letter.toUpperCase());

/** Whether a word gives the option `name`; letters behind one dash are an option each. */
function isOption(word: string, name: string): boolean {
  if (word.startsWith('--')) return bare(word) === name;
  return /^-[a-z]/i.test(word) && bare(word).includes(name);
}

function unknownOption(name: string, options: readonly string[]): string {
  const written = `${name.length === 1 ? '-' : '--'}${name}`;
  const [close] = nearest(written, options);
  return `option: expected one of ${options.join(', ')}; got ${harmless(written)}${close === undefined ? '' : `; did you mean: ${close}`}`;
}

function unknownCommand(name: string, commands: readonly string[], where: string, words: readonly string[]): string {
  const rest = words.slice(words.indexOf(name) + 1).map(quoted);
  const meant = where === 'segr1' ? meantBy(name, commands) : nearest(name, commands).slice(0, 1);
  const expected = commands.length === 1 ? commands[0] : `one of ${commands.join(', ')}`;
  const fault = `command: expected ${expected}; got ${shown(name)}`;
  return meant.length === 0 ? fault : `${fault}; did you mean: ${harmless([where, ...meant, ...rest].join(' '))}`;
}

/** The words that a first word stands for: what can be run, or segmented, is not yet a command. */
function meantBy(name: string, commands: readonly string[]): string[] {
  if (['.yaml', '.yml'].includes(extname(name).toLowerCase())) return ['pipeline', quoted(name)];
  if (isPicture(name)) return ['segment', quoted(name)];
  const pipelines = pipelineNames();
  const [close] = nearest(name, [...commands, ...pipelines]);
  if (close === undefined) return [];
  return pipelines.includes(close) ? ['pipeline', close] : [close];
}

function extraWord(word: string, usage: string, words: readonly string[]): string {
  const fault = `words: expected ${usage}; got ${shown(word)} besides`;
  return words[0] === 'pipeline' && /^[\w.]+=/.test(word) ? `${fault}; did you mean: --set ${quoted(word)}` : fault;
}

/** Other messages of yargs. */
function plainer(message: string, usage: string): string {
  const given = (pattern: RegExp): string | undefined => pattern.exec(message)?.[1];
  if (message.startsWith('Not enough non-option arguments')) return `words: expected ${usage}; got too few`;
  const without = given(/^(?:Missing required arguments?|Not enough arguments following): (.*)$/s)?.split(', ');
  if (without) return `${without.map((name) => `--${name}`).join(', ')}: expected a value; got none`;
  const [, name, got, choices] = /Argument: (.*), Given: (.*), Choices: (.*)$/s.exec(message) ?? [];
  if (name !== undefined) return `${name}: expected ${choices}; got ${got}`;
  return message.trim();
}

/** Text as it is, unless a terminal would obey it. */
const harmless = (text: string): string => (/\p{Cc}/u.test(text) ? shown(text) : text);

/** A word as a shell takes it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
