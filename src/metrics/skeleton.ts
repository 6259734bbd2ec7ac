import type { Size } from '../records.js';
import { framed, runs, type Framed } from './runs.js';

/**
 * Thins a bitmap to lines of one pixel, peeling it from two sides in turn; beyond the border lies 0.
 *
 * @param bits [height × width], 0 or 1. @returns the same.
 * @see Zhang and Suen, A fast parallel algorithm for thinning digital patterns, 1984.
 */
export function skeleton(bits: Uint8Array, size: Size): Uint8Array {
  const map = framed(bits, size);
  peel(map);
  const thin = new Uint8Array(bits.length);
  for (let y = 0; y < size.height; y++) {
    const from = (y + 1) * map.stride + 1;
    thin.set(map.bits.subarray(from, from + size.width), y * size.width);
  }
  return thin;
}

/** Peels in place. */
function peel(map: Framed): void {
  const { bits, stride } = map;
  const ring = Int32Array.of(-stride, 1 - stride, 1, stride + 1, stride, stride - 1, -1, -stride - 1);
  const codes = neighbourhoods(map, ring);
  // A pixel is looked at again in a pass only if its neighbours changed since: in the last two passes.
  const changed = new Int32Array(bits.length);
  let older: readonly number[] = [];
  let newer: readonly number[] = edges(codes);
  for (let turn = 1; older.length + newer.length > 0; turn++) {
    const peeled = PEELED[(turn + 1) % 2];
    const gone: number[] = [];
    for (const i of newer) if (peeled[codes[i]] === 1) gone.push(i);
    for (const i of older) if (peeled[codes[i]] === 1 && changed[i] < turn - 1) gone.push(i);
    [older, newer] = [newer, erase(gone, bits, codes, ring, changed, turn)];
  }
}

/** @returns the pixels that lost a neighbour, each once. */
function erase(
  gone: readonly number[],
  bits: Uint8Array,
  codes: Uint8Array,
  ring: Int32Array,
  changed: Int32Array,
  turn: number,
): number[] {
  for (const i of gone) bits[i] = codes[i] = 0;
  const touched: number[] = [];
  for (const i of gone) {
    for (let k = 0; k < 8; k++) {
      const beside = i + ring[k];
      const code = codes[beside];
      if (code === 0) continue;
      codes[beside] = code & ~(1 << (k ^ 4));
      if (changed[beside] === turn) continue;
      changed[beside] = turn;
      touched.push(beside);
    }
  }
  return touched;
}

/** The eight neighbours of each pixel as bits, in the order of the ring; 0 for what is no pixel of the bitmap. */
function neighbourhoods(map: Framed, [n, ne, e, se, s, sw, w, nw]: Int32Array): Uint8Array {
  const { bits } = map;
  const codes = new Uint8Array(bits.length);
  const found = runs(map);
  for (let k = 0; k < found.length; k += 2) {
    for (let i = found[k]; i < found[k + 1]; i++) {
      codes[i] =
        bits[i + n] |
        (bits[i + ne] << 1) |
        (bits[i + e] << 2) |
        (bits[i + se] << 3) |
        (bits[i + s] << 4) |
        (bits[i + sw] << 5) |
        (bits[i + w] << 6) |
        (bits[i + nw] << 7);
    }
  }
  return codes;
}

/** Pixels with some but not all of their neighbours: no others can go. */
function edges(codes: Uint8Array): number[] {
  const found: number[] = [];
  for (let i = 0; i < codes.length; i++) if (codes[i] !== 0 && codes[i] !== 255) found.push(i);
  return found;
}

/** Neighbours in the order of their bits. */
const COMPASS = ['n', 'ne', 'e', 'se', 's', 'sw', 'w', 'nw'];

/**
 * Where the table in use since ImageJ departs from the paper: corners of a staircase go, and ends of a line go in one
 * pass only. By the passes in which the pixel goes: none, the first, the second, both.
 */
const DEPARTURES = [
  ['se s', 'nw w'],
  ['nw n', 'n ne', 'ne e', 'n ne e', 'nw n w', 'nw n e', 'n ne w', 'nw s w', 'n sw w', 'n ne sw w'],
  ['e se', 's sw', 'sw w', 'e se s', 's sw w', 'n e se', 'e s sw', 'se s w', 'ne e s sw'],
  ['n e', 'e s', 's w', 'n w'],
];

const departed = new Map(DEPARTURES.flatMap((drawn, passes) => drawn.map((names) => [codeOf(names), passes] as const)));

/** [2][256]: whether a pixel with these neighbours goes, from the south-east first, then from the north-west. */
const PEELED = [0, 1].map((pass) =>
  Uint8Array.from({ length: 256 }, (_, code) => {
    const passes = departed.get(code);
    return passes === undefined ? Number(goes(code, pass)) : (passes >> pass) & 1;
  }),
);

/** The paper's rule: an edge, not an end, in one piece, and open to a side of this pass. */
function goes(code: number, pass: number): boolean {
  const on = (k: number): boolean => ((code >> (k % 8)) & 1) === 1;
  const places = [0, 1, 2, 3, 4, 5, 6, 7];
  const neighbours = places.filter(on).length;
  const rises = places.filter((k) => !on(k) && on(k + 1)).length;
  const [n, e, s, w] = [on(0), on(2), on(4), on(6)];
  const closed = pass === 0 ? e && s && (n || w) : n && w && (e || s);
  return neighbours >= 2 && neighbours <= 6 && rises === 1 && !closed;
}

function codeOf(names: string): number {
  return names.split(' ').reduce((code, name) => code | (1 << COMPASS.indexOf(name)), 0);
}
