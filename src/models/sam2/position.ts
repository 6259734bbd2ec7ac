/** Position encodings of SAM 2.1: tables that are added to cells, and Fourier features of points. */

/**
 * Positions of the backbone's cells: a table stretched over the image, and one repeated in every window.
 *
 * @param background [width, high, wide], stretched by bicubic interpolation with a = -0.75, edges repeated.
 * @param tile [width, window, window]
 * @param side of the square of cells.
 * @returns [side, side, width]
 */
export function cellPositions(
  background: Float32Array,
  [high, wide]: readonly [number, number],
  tile: Float32Array,
  window: number,
  side: number,
): Float32Array {
  const width = background.length / (high * wide);
  const rows = cubic(high, side);
  const columns = cubic(wide, side);
  // [high, side, width]
  const across = new Float64Array(high * side * width);
  for (let y = 0; y < high; y++) {
    for (const [x, taps] of columns.entries()) {
      for (const [from, weight] of taps)
        for (let c = 0; c < width; c++)
          across[(y * side + x) * width + c] += weight * background[(c * high + y) * wide + from];
    }
  }
  const table = new Float32Array(side * side * width);
  const row = side * width;
  for (const [y, taps] of rows.entries()) {
    for (let i = 0; i < row; i++) {
      const [x, c] = [Math.floor(i / width), i % width];
      let sum = tile[(c * window + (y % window)) * window + (x % window)];
      for (const [from, weight] of taps) sum += weight * across[from * row + i];
      table[y * row + i] = sum;
    }
  }
  return table;
}

type Taps = readonly (readonly [from: number, weight: number])[];

/** Which of `size` inputs make each of `wanted` outputs. */
function cubic(size: number, wanted: number): Taps[] {
  const a = -0.75;
  const near = (t: number): number => ((a + 2) * t - (a + 3)) * t * t + 1;
  const far = (t: number): number => ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  return Array.from({ length: wanted }, (_, i) => {
    const centre = ((i + 0.5) * size) / wanted - 0.5;
    const first = Math.floor(centre);
    const t = centre - first;
    const weights = [far(t + 1), near(t), near(1 - t), far(2 - t)];
    return weights.map((weight, k) => [Math.min(size - 1, Math.max(0, first - 1 + k)), weight] as const);
  });
}

/**
 * Sines, then cosines, of a point's place times a random matrix.
 *
 * @param matrix [2, half]
 * @param x in [0, 1] from left to right; `y` from top to bottom.
 */
export function pointPosition(matrix: Float32Array, x: number, y: number): Float32Array {
  const half = matrix.length / 2;
  const features = new Float32Array(2 * half);
  for (let i = 0; i < half; i++) {
    const angle = 2 * Math.PI * ((2 * x - 1) * matrix[i] + (2 * y - 1) * matrix[half + i]);
    features[i] = Math.sin(angle);
    features[half + i] = Math.cos(angle);
  }
  return features;
}

/** `pointPosition` of every cell's centre, [side × side, 2 × half]. */
export function gridPositions(matrix: Float32Array, side: number): Float32Array {
  const table = new Float32Array(side * side * matrix.length);
  for (let i = 0; i < side * side; i++)
    table.set(pointPosition(matrix, ((i % side) + 0.5) / side, (Math.floor(i / side) + 0.5) / side), i * matrix.length);
  return table;
}
