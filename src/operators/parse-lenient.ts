import type { Box, Point, Prompt, PromptObject, Size } from '../records.js';
import { MOST_DIGITS } from './parse-text.js';

/** What had to be overlooked to read a completion. */
export type Repair = 'another tag' | 'JSON' | 'closing tag' | 'numbers' | 'lists' | 'missing parts';

/** A completion that strict reading refuses. */
export interface Repaired {
  readonly prompt: Prompt;
  readonly repairs: readonly Repair[];
}

type Kind = 'box' | 'points' | 'labels';

const NAMES: Readonly<Record<Kind, string>> = {
  box: 'b?box(?:es)?(?:_2d)?|bounding[_ -]?box(?:es)?',
  points: 'points?(?:_2d)?|point_coords',
  labels: '(?:points?_?)?labels?',
};
/** As Seg-R1's format has it. */
const USUAL: Readonly<Record<Kind, string>> = { box: '<bbox>', points: '<points>', labels: '<labels>' };

const opening = (names: string): string => `<\\s*(?:${names})\\s*>|["'](?:${names})["']\\s*:`;
const OPENINGS: Readonly<Record<Kind, RegExp>> = {
  box: new RegExp(`${opening(NAMES.box)}|<\\|box_start\\|>`, 'gi'),
  points: new RegExp(`${opening(NAMES.points)}|<\\|point_start\\|>`, 'gi'),
  labels: new RegExp(opening(NAMES.labels), 'gi'),
};
/** Openings with a slash, where there is no better one. */
const SLASHED: Readonly<Record<Kind, RegExp>> = {
  box: new RegExp(`<[\\\\/]\\s*(?:${NAMES.box})\\s*>`, 'gi'),
  points: new RegExp(`<[\\\\/]\\s*(?:${NAMES.points})\\s*>`, 'gi'),
  labels: new RegExp(`<[\\\\/]\\s*(?:${NAMES.labels})\\s*>`, 'gi'),
};

/** Numbers behind an opening; of boxes and points rounded, at least 0. */
interface Run {
  readonly numbers: readonly number[];
  readonly repairs: readonly Repair[];
}

/**
 * Reads a looser completion; see `readPrompt`. What stands in a thought counts only if nothing stands outside of it.
 *
 * @returns null where there is neither box nor point.
 */
export function readLeniently(text: string, frame: Size): Repaired | null {
  return read(withoutThoughts(text), frame) ?? read(text, frame);
}

function read(text: string, frame: Size): Repaired | null {
  const [boxRuns, pointRuns, labelRuns] = (['box', 'points', 'labels'] as const).map((kind) => runsOf(text, kind));
  const boxes = distinct(
    boxRuns
      .flatMap(({ numbers }) => (numbers.length % 4 === 0 ? groups(numbers, 4) : []))
      .map(([a, b, c, d]): Box => [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)]),
  );
  const places = pointRuns.flatMap(({ numbers }) => (numbers.length % 2 === 0 ? groups(numbers, 2) : []));
  const labels = labelRuns.length > 0 ? labelRuns.flatMap(({ numbers }) => numbers) : places.map(() => 1);
  const known = labels.filter((label) => label === 0 || label === 1);
  const readable = labels.length === places.length && known.length === places.length;
  const points = readable ? places.map(([x, y], i): Point => ({ x, y, label: known[i] })) : [];
  const objects: PromptObject[] =
    boxes.length > 0 ? boxes.map((box) => ({ box, points })) : points.length > 0 ? [{ points }] : [];
  if (objects.length === 0) return null;

  const lacking = boxes.length === 0 || points.length === 0 || labelRuns.length === 0;
  const repairs = [...boxRuns, ...pointRuns, ...labelRuns].flatMap((run) => run.repairs);
  return {
    prompt: { frame, objects },
    repairs: [...new Set<Repair>([...repairs, ...(lacking ? (['missing parts'] as const) : [])])],
  };
}

/** The numbers behind each opening of a kind; openings without numbers are passed over. */
function runsOf(text: string, kind: Kind): Run[] {
  const found = runsAt(text, OPENINGS[kind], kind);
  return found.length > 0 ? found : runsAt(text, SLASHED[kind], kind);
}

function runsAt(text: string, openings: RegExp, kind: Kind): Run[] {
  const found: Run[] = [];
  openings.lastIndex = 0;
  for (let open = openings.exec(text); open; open = openings.exec(text)) {
    const start = open.index + open[0].length;
    const end = endOfNumbers(text, start);
    openings.lastIndex = end;
    const run = text.slice(start, end);
    const written = run
      .replace(KEYS, ' ')
      .split(/[^-+.\d]+/)
      .filter((word) => word !== '')
      .map(Number);
    if (kind === 'labels' ? written.length === 0 && !areWords(text, open) : !areCoordinates(kind, run, written))
      continue;
    found.push({
      numbers: kind === 'labels' ? written : written.map((n) => Math.max(0, Math.round(n))),
      repairs: repairsOf(open[0], run, text.slice(end, end + USUAL[kind].length + 1), kind),
    });
  }
  return found;
}

/** Whether labels are words, such as `[true, false]`; in JSON other words are names of objects. */
function areWords(text: string, { 0: open, index }: RegExpExecArray): boolean {
  const start = index + open.length;
  const word = /^[\s[("']*([a-z]*)/i.exec(text.slice(start, start + 40))?.[1] ?? '';
  return open.startsWith('<') ? word !== '' : /^(?:true|false|positive|negative|foreground|background)$/i.test(word);
}

/** Two numbers in brackets of their own. */
const PAIR = /[[(]\s*[-+.\d]+[\s,]+[-+.\d]+\s*[\])]/g;

/** Whether numbers are pixels in the usual order; parts of a whole, polygons and `y` before `x` are not guessed at. */
function areCoordinates(kind: Kind, run: string, numbers: readonly number[]): boolean {
  const parts = numbers.some((n) => !Number.isInteger(n)) && numbers.every((n) => Math.abs(n) <= 1);
  const sides = Array.from(run.matchAll(KEYS), ([key]) => /[xy]/i.exec(key)?.[0].toLowerCase()).join('');
  const polygon = kind === 'box' && (run.match(PAIR)?.length ?? 0) > 2;
  return (
    numbers.length > 0 &&
    numbers.every((n) => Math.abs(n) < 10 ** MOST_DIGITS) &&
    !parts &&
    !polygon &&
    /^(?:xy)*$/.test(sides)
  );
}

const PLAIN = /[-+0-9.,，、;()[\]{}\s]+/y;
/** As in `x1: 10` and `"x_min": 10`. */
const KEY = /["']?[xy]_?(?:min|max|[0-9])["']?\s*[:=]/iy;
const KEYS = new RegExp(KEY.source, 'gi');

/** Where something else follows than numbers, brackets and what separates them. */
function endOfNumbers(text: string, start: number): number {
  for (let at = start; ;) {
    const next = [PLAIN, KEY].map((one) => {
      one.lastIndex = at;
      return one.test(text) ? one.lastIndex : at;
    });
    const end = Math.max(...next);
    if (end === at) return at;
    at = end;
  }
}

function repairsOf(open: string, run: string, behind: string, kind: Kind): Repair[] {
  const usual = USUAL[kind];
  if (/^["']/.test(open)) return ['JSON'];
  const depth = kind === 'points' ? /^\s*\[\s*\[/ : /^\s*\[\s*[-+.\d]/;
  return [
    ...(open === usual ? [] : (['another tag'] as const)),
    ...(behind === `</${usual.slice(1)}` ? [] : (['closing tag'] as const)),
    ...(/[-+.]/.test(run) ? (['numbers'] as const) : []),
    ...(depth.test(run) && !/[(){};:=a-z]/i.test(run) ? [] : (['lists'] as const)),
  ];
}

const THINK = /<\s*(\/\s*)?think(?:ing)?\s*>/gi;

/** The text outside of closed thoughts, one in another too; a thought may have been opened by the prompt. */
function withoutThoughts(text: string): string {
  const parts: string[] = [];
  let at = 0;
  let depth = 0;
  for (const { 0: tag, 1: slash, index } of text.matchAll(THINK)) {
    if (slash === undefined) {
      if (depth === 0) parts.push(text.slice(at, index));
      if (depth === 0) at = index;
      depth++;
    } else {
      if (depth === 0) parts.length = 0;
      depth = Math.max(0, depth - 1);
      if (depth === 0) at = index + tag.length;
    }
  }
  return [...parts, text.slice(at)].join(' ');
}

function groups(numbers: readonly number[], size: number): number[][] {
  return Array.from({ length: numbers.length / size }, (_, i) => numbers.slice(i * size, (i + 1) * size));
}

function distinct(boxes: readonly Box[]): Box[] {
  return [...new Map(boxes.map((box) => [box.join(), box])).values()];
}
