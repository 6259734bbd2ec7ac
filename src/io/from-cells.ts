import type { z } from 'zod';

import { DataError, messageOf, shown } from '../errors.js';
import type { Completion, Mask, Row, Size } from '../records.js';
import { PromptText, SceneText, type Cells, type CocoCell } from './cells.js';
import { fromCocoString } from './mask.js';

/**
 * A row as it was before `toCells`, save for the rounding to float32.
 *
 * @throws {DataError} if its cells do not fit together.
 */
export function fromCells(cells: Cells): Row {
  const { candidates, fitted, problem, thinking, solution, skipped } = cells;
  return {
    id: cells.id,
    image: cells.scene === null ? { path: cells.image ?? '' } : { scene: fromJson(cells.scene, SceneText, cells.id) },
    task: cells.task,
    frame: fromPair(cells.frame),
    original: fromPair(cells.original),
    ...(cells.truth && { truth: fromCoco(cells.truth) }),
    ...(cells.ignore && { ignore: fromCoco(cells.ignore) }),
    ...(cells.truth_path !== null && { truthPath: cells.truth_path }),
    ...(cells.instruction !== null && { instruction: cells.instruction }),
    ...(cells.question && { question: cells.question }),
    ...(candidates && { candidates: { ...candidates, mask: fromCoco(candidates.mask) } }),
    ...(cells.prompt !== null && { prompt: cells.prompt }),
    ...(cells.prompt_tokens && { promptTokens: cells.prompt_tokens }),
    ...(cells.texts && { completions: fromAnswers(cells.texts, cells) }),
    ...(cells.policy_version !== null && { policyVersion: cells.policy_version }),
    ...(typeof cells.correct === 'number' && { answer: cells.answer ?? null, correct: cells.correct }),
    ...(cells.prompts && {
      prompts: cells.prompts.map((text) => (text === null ? null : fromJson(text, PromptText, cells.id))),
    }),
    ...(cells.formats && { formats: cells.formats }),
    ...(cells.masks && { masks: cells.masks.map((mask) => mask && fromCoco(mask)) }),
    ...(cells.rewards && { rewards: { total: cells.rewards, byName: fromParts(cells.reward_parts ?? {}) } }),
    ...(cells.advantages && { advantages: cells.advantages }),
    ...(cells.step !== null && { step: cells.step }),
    ...(cells.scores && {
      scores: Object.fromEntries(
        Object.entries(cells.scores).filter((entry): entry is [string, number] => entry[1] !== null),
      ),
    }),
    ...(fitted && { fitted: { ...fitted, prompt: fromJson(fitted.prompt, PromptText, cells.id) } }),
    ...(typeof problem === 'string' && { problem }),
    ...(typeof thinking === 'string' && { thinking }),
    ...(typeof solution === 'string' && { solution }),
    ...(skipped && { skipped }),
  };
}

const fromPair = ([width, height]: readonly [number, number]): Size => ({ width, height });

function fromCoco({ size: [height, width], counts }: CocoCell): Mask {
  return fromCocoString(new TextDecoder().decode(counts), { width, height });
}

function fromParts(parts: Readonly<Record<string, number[] | null>>): Record<string, number[]> {
  return Object.fromEntries(Object.entries(parts).flatMap(([name, values]) => (values ? [[name, values]] : [])));
}

function fromAnswers(
  texts: readonly string[],
  { id, tokens, log_probs: logProbs, finish, entropies }: Cells,
): Completion[] {
  const lengths = [tokens?.length, logProbs?.length, finish?.length];
  if (!tokens || !logProbs || !finish || lengths.some((length) => length !== texts.length)) {
    throw new DataError(
      `row ${id}  tokens, log_probs and finish: expected ${texts.length} each as texts has; got ${lengths.map((n) => n ?? 'none').join(', ')}`,
    );
  }
  return texts.map((text, g) => {
    const own = entropies?.[g];
    return { text, tokens: tokens[g], logProbs: logProbs[g], finish: finish[g], ...(own && { entropies: own }) };
  });
}

function fromJson<T>(text: string, shape: z.ZodType<T>, id: string): T {
  try {
    return shape.parse(JSON.parse(text));
  } catch (error) {
    throw new DataError(`row ${id}  ${shown(text)}: expected JSON as it was written; got ${messageOf(error)}`, {
      cause: error,
    });
  }
}
