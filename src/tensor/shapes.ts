/** Arithmetic of shapes. */
import { ShapeError, sizeOf, type Shape, type Tensor } from './graph.js';

/** A shape without some of its dimensions. */
export const without = (x: Tensor, names: readonly string[]): Shape =>
  x.shape.filter(({ name }) => !names.includes(name));

/** Names of both: in the order of the operand that has them all, else `a`'s and then those that `b` adds. */
export function broadcast(operation: string, a: Tensor, b: Tensor): Shape {
  for (const { name, size } of b.shape) {
    const other = sizeOf(a, name);
    if (other !== undefined && other !== size) throw new ShapeError(operation, `the same size of ${name}`, a, b);
  }
  const added = b.shape.filter(({ name }) => sizeOf(a, name) === undefined);
  if (added.length > 0 && a.shape.every(({ name }) => sizeOf(b, name) !== undefined)) return b.shape;
  return [...a.shape, ...added];
}

/** @throws {ShapeError} if a name occurs twice. */
export function once(operation: string, shape: Shape, ...from: readonly Tensor[]): void {
  if (new Set(shape.map(({ name }) => name)).size < shape.length)
    throw new ShapeError(operation, 'each name once', ...from, { shape });
}
