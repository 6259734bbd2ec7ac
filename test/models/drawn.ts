import type { Image } from '../../src/records.js';

/** What a drawn image shows: a striped disc, a disc and a bar, or a disc with a hole. */
export type Kind = 'disc' | 'two' | 'ring';

/** Noisy RGB pixels by integer arithmetic alone: the same that test/models/grabcut/fixtures/grabcut.py draws. */
export function drawn(kind: Kind, width: number, height: number): Image {
  const data = new Uint8Array(width * height * 3);
  let i = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [u, v] = [Math.floor((x * 120) / width), Math.floor((y * 120) / height)];
      const object = shows(kind, u, v);
      const stripe = object && (Math.floor(u / 6) + Math.floor(v / 9)) % 2 ? 30 : 0;
      for (let c = 0; c < 3; c++) {
        const noise = Math.floor(
          ((((x * 7919 + y * 104729 + c * 1299709 + x * y * 31) % 65521) * 40503) % 65536) / 2048,
        );
        data[i++] = (object ? 110 + 30 * c : 60 + Math.floor(u / 3) + (2 - c) * 18) + stripe + noise;
      }
    }
  }
  return { width, height, data };
}

/** Whether the object covers a point of the 120 × 120 canvas. */
export function shows(kind: Kind, u: number, v: number): boolean {
  const far = (u - 52) ** 2 + (v - 66) ** 2;
  if (kind === 'ring') return far <= 900 && far > 196;
  return far <= 900 || (kind === 'two' && u >= 84 && u <= 108 && v >= 12 && v <= 50);
}
