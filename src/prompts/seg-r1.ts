/** Seg-R1's prompts by name. */
import type { PromptTemplate } from './template.js';

const opening =
  'A conversation between User and Assistant. The user asks a question, and the Assistant solves it. ' +
  'The assistant first thinks about the reasoning process in the mind and then provides the user with the answer. ' +
  'The reasoning process should enclosed within <think> </think> tags, and the bounding box, points and points labels should be enclosed within ' +
  '<bbox></bbox>, <points></points>, and <labels></labels>, respectively. i.e., <think> reasoning process here </think> <bbox>[x1,y1,x2,y2]</bbox>, ';
const meaning = 'Where 1 indicates a foreground (object) point, and 0 indicates a background point.';
const moderate =
  'Only generate a moderate number of points, enough to clearly outline the object without overloading the system.';
const evaluation = `${opening}<points>[[x3,y3],[x4,y4],...]</points>, <labels>[1,0,...]</labels>${meaning}`;
const foreground =
  '\nIdentify and segment all the primary objects in the image.\n\nOutput the result using the exact format:\n' +
  '<think> reasoning process here </think> <bbox>[x1,y1,x2,y2]</bbox>, <points>[[x3,y3],[x4,y4],...]</points>, <labels>[1,0,...]</labels>\n';

/**
 * Seg-R1's prompts, letter for letter: the released weights were trained on "should enclosed" and the missing space
 * before "Where".
 *
 * @see Seg-R1, arXiv:2506.22624, and `grpo.py`, `grpo_prerl.py`, `sft.py`, `eval/` of its repository.
 */
export const prompts = {
  rl: {
    system: `${opening}<points>[[x1,y1],[x2,y2],...]</points>, <labels>[1,0,...]</labels>${meaning} ${moderate}`,
    user: foreground,
  },
  pre: {
    user:
      '\nYou are given an image. Your task is to generate a sparse set of point prompts to help segment the most salient object in the image.\n\n' +
      'The points should be informative: include both foreground points (on the object) and background points (off the object) to help define the object boundary.\n\n' +
      `${moderate}\n\nOutput the result using the exact format:\n<points>[[x1,y1],[x2,y2],...]</points> <labels>[1,0,...]</labels>\n${meaning}\n\n`,
  },
  foreground: { system: evaluation, user: `${foreground}    ` },
  referring: { system: evaluation, user: 'Identify and segment {instruction}' },
  'reason-sentence': { system: evaluation, user: '{instruction} Identify and segment it.' },
  'reason-phrase': { system: evaluation, user: ' Identify and segment {instruction}.', lowerCase: true },
  sft: {
    system: `${opening}<points>[[x1,y1],[x2,y2],...]</points>, <labels>[1,0,...]</labels>`,
    user: '{instruction}',
    imageLast: true,
  },
  demo: { system: "You're a helpful visual assistant.", user: '{instruction}' },
} as const satisfies Record<string, PromptTemplate>;

/** A prompt of Seg-R1's by name. */
export type PromptName = keyof typeof prompts;

/**
 * The prompt of Seg-R1's evaluations for a task: expressions and ReasonSeg's two kinds each have one, all else is
 * `foreground`.
 */
export function promptOfTask(task: string): PromptTemplate {
  return task === 'referring' || task === 'reason-sentence' || task === 'reason-phrase'
    ? prompts[task]
    : prompts.foreground;
}
