import { map, type OperatorFunction } from 'rxjs';
import { z } from 'zod';

import type { Coordinates } from '../models/policy.js';
import type { Prompt, Prompted, RolledOut, Size } from '../records.js';
import { CoordinatesOption, inFrame, writtenFrame } from './coordinates.js';
import { readLeniently, type Repair } from './parse-lenient.js';
import { readReasoning } from './parse-reason.js';
import { formatted, readParts, toPrompt, type Parts } from './parse-text.js';
import { parseReason } from './parse-unread.js';
import type { Protocol } from './scoring/protocol.js';

export const ParseOptions = z.strictObject({
  /** `boxes` asks for boxes, points and labels; `points` for points and labels only, as Seg-R1's first stage does. */
  mode: z.enum(['boxes', 'points']).default('boxes'),
  /** Whether `<think>` is part of the format; default: true, false for mode `points`. */
  think: z.boolean().optional(),
  /** Reads more than the format allows, for evaluation: see `readPrompt`. `formats` stays strict. */
  lenient: z.boolean().default(false),
  /** Units of written coordinates; the policy's by default, pixels without one. */
  coordinates: CoordinatesOption.optional(),
});
export type ParseOptions = z.input<typeof ParseOptions>;

/**
 * Adds `prompts`, `formats` and `parseReasons`, one for each completion; marked rows pass by.
 *
 * @param read called for each completion with what lenient reading had to overlook, nothing in most.
 * @param protocol `legacy` reads completions about ReasonSeg's rows as the released evaluation does: see `readReasoning`.
 */
export function parse<T extends RolledOut>(
  options: ParseOptions = {},
  read: (repairs: readonly Repair[]) => void = () => {},
  protocol: Protocol = 'standard',
): OperatorFunction<T, T & Prompted> {
  const { mode, think = mode === 'boxes', lenient, coordinates = 'pixels' } = ParseOptions.parse(options);
  return map((row) => {
    if (row.skipped) return row as T & Prompted;
    const parts = row.completions.map(({ text }) => readParts(text));
    const formats = parts.map((part) => (formatted(part, mode, think) ? 1 : 0));
    const written = writtenFrame(coordinates, row.frame);
    const weaker = protocol === 'legacy' && row.task.startsWith('reason-');
    const found = parts.map((part, i) => {
      if (weaker) return readReasoning(row.completions[i].text, written);
      const { prompt, repairs } = promptOf(row.completions[i].text, part, written, mode, lenient);
      read(repairs);
      return prompt;
    });
    const prompts = found.map((prompt) => prompt && inFrame(prompt, row.frame));
    const parseReasons = row.completions.map((completion, i) =>
      parseReason({ ...completion, told: row.prompt, prompt: found[i], mode }),
    );
    return { ...row, prompts, formats, parseReasons };
  });
}

/**
 * Reads `<bbox>`, `<points>` and `<labels>` as Seg-R1's training does: whole numbers, every part there, else nothing.
 *
 * Tags may be in any order with other text around them; every box counts, and the first points and labels, which all
 * boxes share. Boxes stay as written, in or out of the frame. Two rules are ours: a label other than 0 or 1 makes
 * points and labels unreadable (SAM reads 2 and 3 as box corners), and a number of more than nine digits makes
 * everything unreadable.
 *
 * @param seen the frame that the policy was shown.
 * @param options.coordinates units of the numbers; pixels of `seen` by default.
 * @param options.lenient where that fails or misses a box, also takes boxes alone, points alone (foreground without a
 *   `<labels>`), a wrong or missing closing tag, `<box>` and other names and spellings, several boxes in one tag, other
 *   brackets, decimals (rounded), negative numbers (0), corners in either order, and JSON such as Qwen's own
 *   `"bbox_2d": […]` and `"point_2d": […]`. What could mean something else is not guessed at: polygons, parts of the
 *   frame such as 0.5, y before x, and labels that are neither 0 nor 1.
 * @returns null, never a throw: a malformed completion is the policy's fault and costs the reward.
 * @see Seg-R1, arXiv:2506.22624, `parse_custom_format` of its repository.
 */
export function readPrompt(
  completion: string,
  seen: Size,
  options: { readonly lenient?: boolean; readonly coordinates?: Coordinates } = {},
): Prompt | null {
  const written = writtenFrame(options.coordinates ?? 'pixels', seen);
  const { prompt } = promptOf(completion, readParts(completion), written, 'boxes', options.lenient ?? false);
  return prompt && inFrame(prompt, seen);
}

/** Strict reading goes first, but where lenient reading finds more boxes. */
function promptOf(
  text: string,
  parts: Parts,
  frame: Size,
  mode: 'boxes' | 'points',
  lenient: boolean,
): { readonly prompt: Prompt | null; readonly repairs: readonly Repair[] } {
  const strict = { prompt: toPrompt(parts, frame, mode), repairs: [] };
  if (!lenient || (strict.prompt && mode === 'points')) return strict;
  const repaired = readLeniently(text, frame);
  const boxes = (prompt: Prompt | null | undefined): number =>
    new Set(prompt?.objects.flatMap(({ box }) => (box ? [box.join()] : []))).size;
  return repaired && (!strict.prompt || boxes(repaired.prompt) > boxes(strict.prompt)) ? repaired : strict;
}
