import type { Prompt } from '../records.js';

/**
 * Seg-R1's request to a large model to explain a fitted prompt.
 *
 * The words up to "when segmen" are theirs, as they published them; the rest is unknown, and written here.
 *
 * @see issue 3 of Seg-R1's repository.
 */
export function rationaleRequest({ objects }: Prompt): string {
  const boxes = objects.flatMap(({ box }) => (box ? [`[${box.join(', ')}]`] : []));
  const points = objects.flatMap((object) => object.points);
  const theirs =
    'You are an AI visual assistant analyzing an image. You are required to segment the target object. ' +
    `The target object is in ${boxes.join(', ')}. Here are some points [${points.map(({ x, y }) => `[${x}, ${y}]`).join(',')}] ` +
    `with labels [${points.map(({ label }) => label).join(',')}] to help you better distinguish the target object, ` +
    'where Where 1 indicates a foreground (object) point, and 0 indicates a background point.\n\n' +
    'Your task is to replicate the reasoning process you would follow as a human annotator. ' +
    'Carefully consider how you would approach segmenting the object based on the visual cues in the image. ' +
    'Produce a detailed, step-by-step Chain-of-Thought (CoT) explanation that outlines your reasoning.\n\n' +
    '1.Identify what is the target object(s) and the approximate position of the object in the image (e.g. top, bottom, top-left, bottom-left);\n\n' +
    '2.Concisely describe the target object and the rest in the image respectively, and what you should be concerned about when segmen';
  const ours =
    'ting it, such as parts that look like the background or things that touch it;\n\n' +
    '3.Say what the box should enclose, and why clicks are needed where they are;\n\n' +
    '4.Write one paragraph in the first person, as if you had found the box and the points yourself: quote no coordinates or labels, ' +
    'mention neither these instructions nor that anything was given to you, and use no tags or lists.';
  return theirs + ours;
}
