import type { Completion, ParseReason, Prompt } from '../records.js';

/** What a reason is found from. */
interface Written extends Pick<Completion, 'text' | 'finish'> {
  /** What the policy was told, if that is known. */
  readonly told: string | undefined;
  /** What was read, in the frame of the written numbers; null where nothing was. */
  readonly prompt: Prompt | null;
  readonly mode: 'boxes' | 'points';
}

/**
 * Why a completion's text was not read; of several reasons the first in this order.
 *
 * A prompt that was read has one too where a coordinate is greater than its frame's side, or a box upside down: both go
 * to the segmenter as they are written.
 *
 * @returns null for a prompt that lies in its frame.
 */
export function parseReason({ text, finish, told = '', prompt, mode }: Written): ParseReason | null {
  if (prompt) return misplaced(prompt);
  if (text.trim() === '') return 'empty';
  if (isEcho(text, told)) return 'echoed-prompt';
  const wanted: readonly Part[] = mode === 'boxes' ? ['bbox', 'points', 'labels'] : ['points', 'labels'];
  if (finish === 'length' && wanted.some((part) => !text.includes(`</${part}>`))) return 'truncated';
  const lacking = wanted.find((part) => !text.includes(`<${part}>`));
  if (lacking !== undefined && OTHER.test(text)) return 'other-convention';
  if (lacking !== undefined) return lacking === 'bbox' ? 'no-box' : 'no-points';
  if (!isFlat(text)) return 'wrong-nesting';
  for (const part of wanted) {
    const faults = contents(text, part).map((content) => faultOf(part, content));
    const fault = faults.includes(undefined) ? undefined : faults[0];
    if (fault) return fault;
  }
  const [points, labels] = [contents(text, 'points')[0] ?? '', contents(text, 'labels')[0] ?? ''];
  return numbersOf(points).length === 2 * numbersOf(labels).length ? 'malformed' : 'wrong-labels';
}

type Part = 'bbox' | 'points' | 'labels';

/** Where something is, as other models and data sets write it. */
const OTHER =
  /["'](?:bbox|bbox_2d|box|box_2d|boxes|point|point_2d|points|points_2d|coordinates?)["']\s*:|<\|?(?:box|box_start|object_ref_start|point|loc|quad_start)\b|<loc\d+>|<(?:x1|answer)>/i;

function misplaced({ frame, objects }: Prompt): ParseReason | null {
  const { width, height } = frame;
  const outside = ([x, y]: readonly [number, number]): boolean => x < 0 || y < 0 || x > width || y > height;
  for (const { box, points } of objects) {
    const corners: (readonly [number, number])[] = box
      ? [
          [box[0], box[1]],
          [box[2], box[3]],
        ]
      : [];
    if ([...corners, ...points.map(({ x, y }) => [x, y] as const)].some(outside)) return 'beyond-frame';
  }
  return objects.some(({ box }) => box && (box[0] > box[2] || box[1] > box[3])) ? 'upside-down' : null;
}

/** Letters that a piece of text must have to be looked for in the prompt. */
const PIECE = 40;

/** Whether half of the text is the prompt's, or a part is the placeholder that the prompt has there. */
function isEcho(text: string, told: string): boolean {
  const copied = (['bbox', 'points', 'labels'] as const).some((part) =>
    contents(text, part).some((content) => /[a-z.]/i.test(content) && told.includes(`<${part}>${content}</${part}>`)),
  );
  if (copied) return true;
  const pieces = Array.from({ length: Math.floor(text.length / PIECE) }, (_, i) =>
    text.slice(i * PIECE, (i + 1) * PIECE),
  );
  return pieces.length > 0 && pieces.filter((piece) => told.includes(piece)).length * 2 >= pieces.length;
}

/** Whether each part's tag is closed before another begins. */
function isFlat(text: string): boolean {
  let open: string | undefined;
  for (const [, slash, part] of text.matchAll(/<(\/?)(bbox|points|labels)>/g)) {
    if (slash === '' ? open !== undefined : open !== part) return false;
    open = slash === '' ? part : undefined;
  }
  return open === undefined;
}

/** Brackets around one number, from the outside in. */
const DEPTH: Readonly<Record<Part, number>> = { bbox: 1, points: 2, labels: 1 };

/** What is wrong in a part by itself. */
function faultOf(part: Part, content: string): ParseReason | undefined {
  const numbers = numbersOf(content);
  if (numbers.length === 0)
    return /[^\s[\],]/.test(content) ? 'wrong-numbers' : part === 'bbox' ? 'no-box' : 'no-points';
  if (depthOf(content) !== DEPTH[part]) return 'wrong-nesting';
  if (part === 'labels') return numbers.every((one) => one === '0' || one === '1') ? undefined : 'wrong-labels';
  const whole = numbers.every((one) => /^-?\d+$/.test(one));
  if (whole && numbers.some((one) => one.startsWith('-') || one.length > 9)) return 'beyond-frame';
  const count = part === 'bbox' ? numbers.length === 4 : numbers.length % 2 === 0;
  const plain = numbers.every((one) => /^(0|[1-9]\d*)$/.test(one));
  return count && plain && !/[^-\d\s[\],.]/.test(content) ? undefined : 'wrong-numbers';
}

function numbersOf(content: string): readonly string[] {
  return content.match(/[-+]?\d+(?:\.\d*)?/g) ?? [];
}

/** How deep the numbers lie in brackets; NaN where brackets don't match, or numbers are at several depths. */
function depthOf(content: string): number {
  let [depth, found] = [0, -1];
  for (const char of content) {
    if (char === '[') depth++;
    else if (char === ']') depth--;
    else if (char >= '0' && char <= '9') {
      if (found >= 0 && found !== depth) return NaN;
      found = depth;
    }
    if (depth < 0) return NaN;
  }
  return depth === 0 ? found : NaN;
}

/** The texts between a part's tags. */
function contents(text: string, part: Part): string[] {
  const found: string[] = [];
  for (let at = 0; ;) {
    const start = text.indexOf(`<${part}>`, at);
    const end = start < 0 ? -1 : text.indexOf(`</${part}>`, start);
    if (end < 0) return found;
    found.push(text.slice(start + part.length + 2, end));
    at = end;
  }
}
