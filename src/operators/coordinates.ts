/** Units of written coordinates: pixels of the frame that the policy was shown, or thousandths of the frame's sides. */
import { z } from 'zod';

import type { Coordinates } from '../models/policy.js';
import type { Box, Point, Prompt, Size } from '../records.js';

/** Option of the stages that read or write coordinates as text. */
export const CoordinatesOption = z.enum(['pixels', 'thousandths'] satisfies Coordinates[]);

/** The frame that written numbers are in. @param shown the frame that the policy was shown. */
export function writtenFrame(coordinates: Coordinates, shown: Size): Size {
  return coordinates === 'pixels' ? shown : { width: 1000, height: 1000 };
}

/**
 * A prompt in another frame, rounded to whole numbers; unchanged in its own. For frames up to 1000 px wide and high,
 * thousandths convert back exactly.
 */
export function inFrame(prompt: Prompt, frame: Size): Prompt {
  const { width, height } = prompt.frame;
  if (width === frame.width && height === frame.height) return prompt;
  const across = (x: number): number => Math.round((x * frame.width) / width);
  const down = (y: number): number => Math.round((y * frame.height) / height);
  const scaled = ([x1, y1, x2, y2]: Box): Box => [across(x1), down(y1), across(x2), down(y2)];
  const moved = ({ x, y, label }: Point): Point => ({ x: across(x), y: down(y), label });
  return {
    frame,
    objects: prompt.objects.map(({ box, points, ...rest }) => ({
      ...rest,
      ...(box && { box: scaled(box) }),
      points: points.map(moved),
    })),
  };
}
