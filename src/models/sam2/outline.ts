/** From the decoder's logits to pixels. */
import type { Size } from '../../records.js';

/** IoU of the logits above `delta` with those above `-delta`; 1 if there are none. */
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
 * Sets the pixels whose logit is above 0 once the square of logits is stretched over the frame, bilinearly between the
 * cells' middles.
 *
 * @param bits [height × width]; other pixels stay unchanged.
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
  /** Weight of the second cell. */
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
