import type { Size } from '../records.js';

/**
 * Thins a bitmap to lines of one pixel, peeling it from two sides in turn; beyond the border lies 0.
 *
 * @param bits [height × width], 0 or 1. @returns the same.
 * @see Zhang and Suen, A fast parallel algorithm for thinning digital patterns, 1984.
 */
export function skeleton(bits: Uint8Array, { width, height }: Size): Uint8Array {
  const stride = width + 2;
  const padded = new Uint8Array(stride * (height + 2));
  for (let y = 0; y < height; y++) padded.set(bits.subarray(y * width, (y + 1) * width), (y + 1) * stride + 1);

  const ring = [-stride, 1 - stride, 1, stride + 1, stride, stride - 1, -1, -stride - 1];
  const all = Int32Array.from(padded.keys()).filter((i) => padded[i] === 1);
  // A pixel is looked at again in a pass only if its neighbours changed since: in the last two passes.
  const seen = new Int32Array(padded.length).fill(-1);
  let [older, newer]: [readonly number[], readonly number[]] = [[], []];
  for (let turn = 0; turn < 2 || older.length + newer.length > 0; turn++) {
    const peeled = PEELED[turn % 2];
    const gone: number[] = [];
    const look = (i: number): void => {
      if (padded[i] === 0 || seen[i] === turn) return;
      seen[i] = turn;
      if (peeled[around(padded, i, ring)] === 1) gone.push(i);
    };
    if (turn < 2) all.forEach(look);
    for (const removed of [older, newer]) for (const i of removed) for (const step of ring) look(i + step);
    for (const i of gone) padded[i] = 0;
    [older, newer] = [newer, gone];
  }
  return Uint8Array.from(bits, (_, i) => padded[(Math.floor(i / width) + 1) * stride + (i % width) + 1]);
}

/** The eight neighbours as bits, from the one above clockwise. */
function around(padded: Uint8Array, i: number, ring: readonly number[]): number {
  let code = 0;
  for (let k = 0; k < 8; k++) code |= padded[i + ring[k]] << k;
  return code;
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
const PEELED = [0, 1].map((pass) => Uint8Array.from({ length: 256 }, (_, code) => {
  const passes = departed.get(code);
  return passes === undefined ? Number(goes(code, pass)) : (passes >> pass) & 1;
}));

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
