/** An image for a policy's vision tower. */

/** Rows and columns of patches of one still image; both divide by the merge side. */
export interface Grid {
  readonly h: number;
  readonly w: number;
}

export interface Patches {
  /** [h × w, pixel]: patches merge block by merge block, as `patchPlaces` orders them. */
  readonly pixels: Float32Array;
  /** In patches. */
  readonly grid: Grid;
}

/** [patches, 2]: row and column of each patch, one block of `merge` × `merge` after another, blocks in raster order. */
export function patchPlaces(grid: Grid, merge: number): Int32Array {
  const places = new Int32Array(2 * grid.h * grid.w);
  let at = 0;
  for (let top = 0; top < grid.h; top += merge) {
    for (let left = 0; left < grid.w; left += merge) {
      for (let unit = 0; unit < merge * merge; unit++) {
        places[at++] = top + Math.floor(unit / merge);
        places[at++] = left + (unit % merge);
      }
    }
  }
  return places;
}

/** Merged tokens that an image of a grid takes in a prompt. */
export function imageTokens(grid: Grid, merge: number): number {
  return (grid.h * grid.w) / merge ** 2;
}
