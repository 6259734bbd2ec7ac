/** From the decoder's logits to pixels. */
import type { Size } from '../../records.js';
import type { Sam2Config } from './config.js';

/** One object's four answers: the single mask's, then the three that stand for different meanings. */
export interface Answer {
  /** [4, side × side] */
  readonly logits: Float32Array;
  /** [4], in [0, 1]: the IoU that each is thought to have. */
  readonly iou: Float32Array;
}

/**
 * Which of four masks is the answer.
 *
 * @param multimask the best of three, by what it thinks of itself; else the single one, unless it is unstable: then the best of three.
 */
export function picked(answer: Answer, stability: Sam2Config['decoder']['stability'], multimask: boolean): number {
  const best = answer.iou.subarray(1).reduce((most, iou, i, all) => (iou > all[most] ? i : most), 0) + 1;
  if (multimask) return best;
  const single = answer.logits.subarray(0, answer.logits.length / 4);
  return !stability || stabilityOf(single, stability.delta) >= stability.threshold ? 0 : best;
}

/** IoU of what is above `delta` with what is above `-delta`; 1 where nothing is. */
export function stabilityOf(logits: Float32Array, delta: number): number {
  const [high, low] = [Math.fround(delta), Math.fround(-delta)];
  let [inside, around] = [0, 0];
  for (const logit of logits) {
    if (logit > high) inside++;
    if (logit > low) around++;
  }
  return around > 0 ? Math.fround(inside / around) : 1;
}

/**
 * Sets the pixels whose logit is above 0 once the square of logits is stretched over the frame, bilinearly between the cells' middles.
 *
 * @param bits [height × width]; the other pixels are left as they are.
 */
export function paint(logits: Float32Array, frame: Size, bits: Uint8Array): void {
  const side = Math.sqrt(logits.length);
  const columns = between(side, frame.width);
  for (const [y, { first, second, share }] of between(side, frame.height).entries()) {
    const [top, bottom] = [first * side, second * side];
    for (let x = 0, at = y * frame.width; x < frame.width; x++, at++) {
      const { first: left, second: right, share: across } = columns[x];
      const [a, b, c, d] = [logits[top + left], logits[top + right], logits[bottom + left], logits[bottom + right]];
      const above = a + (b - a) * across;
      if (above + (c + (d - c) * across - above) * share > 0) bits[at] = 1;
    }
  }
}

interface Between {
  readonly first: number;
  readonly second: number;
  /** Of the second. */
  readonly share: number;
}

/** The two cells around the middle of each pixel. */
function between(cells: number, pixels: number): Between[] {
  return Array.from({ length: pixels }, (_, i) => {
    const place = Math.max(0, ((i + 0.5) * cells) / pixels - 0.5);
    const first = Math.floor(place);
    return { first, second: Math.min(first + 1, cells - 1), share: place - first };
  });
}
