import * as jinja from '@huggingface/jinja';

import { plainSource } from './jinja-source.js';

/** What of the package is used; its own declarations can't be resolved from a module. */
interface Jinja {
  readonly tokenize: (source: string) => unknown;
  readonly parse: (tokens: unknown) => Program;
  readonly Environment: new () => Environment;
  readonly Interpreter: new (environment: Environment) => Interpreter;
}
type Program = object;
interface Environment {
  set(name: string, value: unknown): void;
}
interface Interpreter {
  run(program: Program): Value;
  /** Called for every statement and expression. */
  evaluate(statement: unknown, environment: Environment): Value;
}
/** A list has an array, a dict or namespace a map. */
interface Value {
  toString(): string;
  readonly value:
    | string
    | number
    | boolean
    | readonly Value[]
    | ReadonlyMap<string, Value>
    | Function
    | null
    | undefined;
}
const { tokenize, parse, Environment, Interpreter } = jinja as unknown as Jinja;

/** Longest template, in characters; those of published models have up to 20 thousand. */
const LONGEST = 1_000_000;
/** Work of one rendering: 16 for each value that is evaluated, and its size. */
const MOST_WORK = 10_000_000;
/** More of it for each character of the variables: templates go through a message a few times. */
const WORK_FOR_CHARACTER = 100;
const VALUE = 16;

/**
 * Compiles a Jinja template as transformers does for chats. Rendering is bounded in time and memory, whatever the
 * template says.
 *
 * @returns renders with variables. @throws {Error} if the template raises, or is more work than any chat takes.
 * @throws {SyntaxError} if it isn't Jinja, or is longer than a million characters.
 */
export function compileJinja(template: string): (variables: Readonly<Record<string, unknown>>) => string {
  if (template.length > LONGEST)
    throw new SyntaxError(`${template.length} characters, where ${LONGEST} are the most that are read`);
  const program = parsed(plainSource(template));
  return (variables) => {
    const work = MOST_WORK + WORK_FOR_CHARACTER * JSON.stringify(variables).length;
    const renderer = new Renderer(globals(variables), work);
    return renderer.run(program).toString();
  };
}

function parsed(source: string): Program {
  try {
    return parse(tokenize(source));
  } catch (error) {
    // Of a parser that ran past the last token.
    throw error instanceof TypeError ? new SyntaxError('a block or an expression that is not closed') : error;
  }
}

/** An interpreter that ends when its work is done up. */
class Renderer extends Interpreter {
  #left: number;

  constructor(environment: Environment, work: number) {
    super(environment);
    this.#left = work;
    environment.set('range', (first: number, stop?: number, step?: number) => this.#range(first, stop, step));
  }

  override evaluate(statement: unknown, environment: Environment): Value {
    this.#take(VALUE);
    const value = super.evaluate(statement, environment);
    this.#weigh(value);
    return value;
  }

  #take(work: number): void {
    this.#left -= work;
    // Not `>=`: NaN ends it, too.
    if (!(this.#left > 0)) throw new RangeError('a template that does not end, or writes without end');
  }

  /** Takes a value's size; shared parts count each time, for they would be written each time. */
  #weigh({ value }: Value): void {
    if (typeof value === 'number') this.#take(Math.abs(value));
    if (typeof value === 'string') this.#take(value.length);
    if (value === null || typeof value !== 'object') return;
    for (const part of value.values()) {
      this.#take(VALUE);
      this.#weigh(part);
    }
  }

  #range(first: number, stop?: number, step = 1): number[] {
    const [from, to] = stop === undefined ? [0, first] : [first, stop];
    if (step === 0) throw new RangeError('range() with a step of 0');
    const length = Math.max(0, Math.ceil((to - from) / step));
    this.#take(VALUE * length);
    return Array.from({ length }, (_, i) => from + i * step);
  }
}

/** The names that chat templates may use, and the variables. */
function globals(variables: Readonly<Record<string, unknown>>): Environment {
  const environment = new Environment();
  const raise = (message: unknown): never => {
    throw new Error(String(message));
  };
  const own = {
    true: true,
    false: false,
    none: null,
    True: true,
    False: false,
    None: null,
    raise_exception: raise,
    strftime_now: today,
    ...variables,
  };
  for (const [name, value] of Object.entries(own)) environment.set(name, value);
  return environment;
}

/** The present time, as `datetime.now().strftime` writes it: years to seconds, and names of months. */
function today(format: string): string {
  const now = new Date();
  const two = (n: number): string => String(n).padStart(2, '0');
  const month = (length: 'long' | 'short'): string => now.toLocaleString('en-US', { month: length });
  const parts: Readonly<Record<string, string>> = {
    Y: String(now.getFullYear()),
    m: two(now.getMonth() + 1),
    d: two(now.getDate()),
    b: month('short'),
    B: month('long'),
    H: two(now.getHours()),
    M: two(now.getMinutes()),
    S: two(now.getSeconds()),
    '%': '%',
  };
  return format.replace(/%(.)/g, (whole, name: string) => parts[name] ?? whole);
}
