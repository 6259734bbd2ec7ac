/** A pixel: x, y. */
type Pixel = readonly [number, number];

/**
 * How many points are left of an open line when those within `tolerance` pixels of it are dropped, then one of two
 * that nearly continue each other, as OpenCV drops them.
 *
 * @see Douglas and Peucker, Algorithms for the reduction of the number of points, 1973.
 */
export function pointsLeft(line: readonly Pixel[], tolerance: number): number {
  if (line.length < 2) return line.length;
  const kept = [...corners(line, 0, line.length - 1, tolerance ** 2), line[line.length - 1]];
  return kept.length - continued(kept, tolerance ** 2);
}

/** The corners of line[from … to], without the last. */
function corners(line: readonly Pixel[], from: number, to: number, squared: number): Pixel[] {
  let farthest = from;
  let most = 0;
  for (let i = from + 1; i < to; i++) {
    const off = squaredDistance(line[from], line[to], line[i]);
    if (off > most) [most, farthest] = [off, i];
  }
  if (most <= squared) return [line[from]];
  return [...corners(line, from, farthest, squared), ...corners(line, farthest, to, squared)];
}

/** How many inner points go because the line hardly turns at them; the one after such a point stays. */
function continued(points: readonly Pixel[], squared: number): number {
  let dropped = 0;
  let start = points[0];
  for (let i = 1; i < points.length - 1 && points.length - dropped > 2; i++) {
    const [point, end] = [points[i], points[i + 1]];
    const [dx, dy] = step(start, end);
    const off = turn(start, end, point);
    const onward = step(start, point)[0] * step(point, end)[0] + step(start, point)[1] * step(point, end)[1] >= 0;
    start = point;
    if (off * off > 0.5 * squared * (dx * dx + dy * dy) || dx === 0 || dy === 0 || !onward) continue;
    dropped++;
    start = end;
    i++;
  }
  return dropped;
}

/** From a pixel to the nearest point between two others. */
function squaredDistance(from: Pixel, to: Pixel, at: Pixel): number {
  const [dx, dy] = step(from, to);
  const [px, py] = step(from, at);
  const along = px * dx + py * dy;
  const length = dx * dx + dy * dy;
  if (along < 0) return px * px + py * py;
  if (along > length) return (px - dx) ** 2 + (py - dy) ** 2;
  return turn(from, to, at) ** 2 / length;
}

function step(from: Pixel, to: Pixel): Pixel {
  return [to[0] - from[0], to[1] - from[1]];
}

/** Twice the area of the triangle, signed. */
function turn(from: Pixel, to: Pixel, at: Pixel): number {
  const [dx, dy] = step(from, to);
  return (at[1] - from[1]) * dx - (at[0] - from[0]) * dy;
}
