import { z } from 'zod';

const number = z.custom<number>((value) => typeof value === 'number', 'expected a number');
const numbers = z.array(number);
const box = z.tuple([number, number, number, number]);
const pair = z.tuple([number, number]);
const coco = z.object({ size: pair, counts: z.instanceof(Uint8Array) });

/** One row as its columns hold it: what the row lacks is null. */
export const Cells = z.object({
  id: z.string(),
  image: z.string().nullable(),
  scene: z.string().nullable(),
  truth: coco.nullable(),
  ignore: coco.nullish(),
  truth_path: z.string().nullable(),
  instruction: z.string().nullable(),
  question: z
    .object({
      benchmark: z.enum(['pope', 'mme', 'mmbench', 'ai2d']),
      part: z.string(),
      item: z.string(),
      turn: number,
      options: z.array(z.string()),
      answer: z.string(),
    })
    .nullish(),
  task: z.string(),
  frame: pair,
  original: pair,
  candidates: z.object({ boxes: z.array(box), names: z.array(z.string()), target: number, mask: coco }).nullable(),
  prompt: z.string().nullable(),
  prompt_tokens: numbers.nullable(),
  texts: z.array(z.string()).nullable(),
  tokens: z.array(numbers).nullable(),
  log_probs: z.array(numbers).nullable(),
  finish: z.array(z.enum(['stop', 'length'])).nullable(),
  entropies: z.array(numbers.nullable()).nullable(),
  policy_version: number.nullable(),
  answer: z.string().nullish(),
  correct: z.literal([0, 1]).nullish(),
  prompts: z.array(z.string().nullable()).nullable(),
  formats: numbers.nullable(),
  masks: z.array(coco.nullable()).nullable(),
  rewards: numbers.nullable(),
  reward_parts: z.record(z.string(), numbers.nullable()).nullish(),
  advantages: numbers.nullable(),
  step: number.nullable(),
  scores: z.record(z.string(), number.nullable()).nullish(),
  fitted: z.object({ prompt: z.string(), ious: numbers, text: z.string() }).nullable(),
  problem: z.string().nullish(),
  thinking: z.string().nullish(),
  solution: z.string().nullish(),
  skipped: z.object({ stage: z.string(), reason: z.string() }).nullable(),
});
export type Cells = z.output<typeof Cells>;
/** A mask in the encoding of COCO. */
export type CocoCell = z.output<typeof coco>;

/** JSON in the cell `scene`. */
export const SceneText = z.strictObject({
  kind: z.enum(['main', 'pick']),
  seed: number,
  index: number,
  rule: z.enum(['warm', 'striped', 'largest', 'any']),
});
/** JSON in the cells that hold prompts. */
export const PromptText = z.strictObject({
  frame: z.strictObject({ width: number, height: number }),
  objects: z.array(
    z.strictObject({
      box: box.exactOptional(),
      points: z.array(z.strictObject({ x: number, y: number, label: z.literal([0, 1]) })),
    }),
  ),
});
