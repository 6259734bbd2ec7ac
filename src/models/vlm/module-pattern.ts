/** Modules chosen by PEFT's expressions, which are Python's and come from files. */
import { createContext, runInContext } from 'node:vm';

import { messageOf, shown } from '../../errors.js';

/** Names of modules, or a regular expression of a whole path. */
export type ModuleChoice = string | readonly string[];

/** An expression for a model's modules has a few hundred characters. */
const LONGEST = 20_000;

/** Milliseconds for one expression and all paths; an ordinary one takes less than one. */
const LIMIT = 2_000;

/**
 * Which of the paths a choice means, as PEFT has it: an expression matches the whole path, a name the path or its end
 * after a dot.
 *
 * @returns for each path whether it is meant.
 * @throws {RangeError} for an expression that JavaScript can't read, or that takes more than two seconds.
 */
export function meant(choice: ModuleChoice, paths: readonly string[]): boolean[] {
  if (typeof choice === 'string') {
    const [found = []] = matches([choice], (own) => `^(?:${own})$`, paths);
    return found.map((match) => match !== null);
  }
  const names = new Set(choice);
  return paths.map((path) => ends(path).some((end) => names.has(end)));
}

/**
 * What expressions find in each path: the named group `idx`, an empty text without one, null without a match.
 *
 * @param within puts an expression, as JavaScript has it, into a larger one.
 * @returns [expression][path]
 * @throws {RangeError} as `meant`.
 */
export function matches(
  patterns: readonly string[],
  within: (own: string) => string,
  paths: readonly string[],
): (string | null)[][] {
  const refuse = (pattern: unknown, got: string): never => {
    throw new RangeError(`expected a regular expression of a module's path; got ${shown(pattern)}${got}`);
  };
  const own = patterns.map((pattern) => {
    if (pattern.length > LONGEST) refuse(pattern, `, of ${pattern.length} characters`);
    const { source, flags } = fromPython(pattern);
    try {
      // By itself first: a bracket too many must not close one of the larger expression's.
      new RegExp(source, flags);
      return new RegExp(within(source), flags);
    } catch (error) {
      return refuse(pattern, `: ${messageOf(error)}`);
    }
  });
  // The deadline: there are expressions that take longer than anybody lives for a path of forty letters.
  try {
    return runInContext(PROGRAM, createContext({ own, paths }), { timeout: LIMIT }) as (string | null)[][];
  } catch {
    return refuse(
      patterns.length === 1 ? patterns[0] : patterns,
      `, which took more than ${LIMIT / 1000} s on ${paths.length} paths`,
    );
  }
}

const PROGRAM =
  "own.map((one) => paths.map((path) => { const found = one.exec(path); return found && (found.groups?.idx ?? ''); }))";

/** Whether an expression can be read. */
export function isExpression(pattern: string): boolean {
  try {
    matches([pattern], (own) => own, []);
    return true;
  } catch {
    return false;
  }
}

/** A path, and what stands behind each of its dots. */
function ends(path: string): string[] {
  const parts = path.split('.');
  return parts.map((_, i) => parts.slice(i).join('.'));
}

/** Python's spelling of what JavaScript spells otherwise, outside of brackets. */
const SPELLED: readonly (readonly [RegExp, string])[] = [
  [/^\\A/, '^'],
  [/^\\Z/, '$'],
  [/^\(\?P</, '(?<'],
  [/^\(\?P=(\w+)\)/, String.raw`\k<$1>`],
  [/^\(\?#[^)]*\)/, ''],
  [/^\{,(\d*)\}/, '{0,$1}'],
  // Python takes a bracket that comes first for itself.
  [/^\[(\^?)\]/, String.raw`[$1\]`],
];

/** An expression of Python's `re` as JavaScript has it; what has no counterpart is refused when it is read. */
function fromPython(pattern: string): { readonly source: string; readonly flags: string } {
  const [leading = '', all = ''] = /^\(\?([aimsu]+)\)/.exec(pattern) ?? [];
  const flags = [...new Set(all)].filter((flag) => 'ims'.includes(flag)).join('');
  let source = '';
  let bracketed = false;
  for (let at = leading.length; at < pattern.length;) {
    const rest = pattern.slice(at);
    const spelled = bracketed ? undefined : SPELLED.find(([python]) => python.test(rest));
    const taken: string = spelled?.[0].exec(rest)?.[0] ?? rest.slice(0, rest.startsWith('\\') ? 2 : 1);
    source += spelled ? taken.replace(...spelled) : taken;
    bracketed = bracketed ? taken !== ']' : taken.startsWith('[');
    at += taken.length;
  }
  return { source, flags };
}
