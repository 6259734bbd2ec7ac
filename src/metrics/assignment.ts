/**
 * Pairs each row with its own column at the lowest total cost (the Hungarian method, O(n² m)).
 *
 * @param costs [n][m], finite.
 * @returns [n] columns; -1 for rows that get none, where there are fewer columns than rows.
 * @see Kuhn, The Hungarian Method for the Assignment Problem, 1955; with potentials and shortest paths as Jonker &
 * Volgenant have it, 1987.
 */
export function assignment(costs: readonly (readonly number[])[]): number[] {
  const [n, m] = [costs.length, costs[0]?.length ?? 0];
  if (n > m) {
    const columns = assignment(Array.from({ length: m }, (_, j) => costs.map((row) => row[j])));
    return costs.map((_, i) => columns.indexOf(i));
  }
  // Row and column 0 stand for none; `owner` is the row that a column belongs to.
  const [rowPrice, columnPrice, owner] = [new Float64Array(n + 1), new Float64Array(m + 1), new Int32Array(m + 1)];
  for (let row = 1; row <= n; row++) {
    owner[0] = row;
    augment(costs, rowPrice, columnPrice, owner);
  }
  const columns = costs.map(() => -1);
  for (let j = 1; j <= m; j++) if (owner[j] > 0) columns[owner[j] - 1] = j - 1;
  return columns;
}

/** Finds the cheapest way to give the row that owns column 0 one of its own, others moving over, and takes it. */
function augment(
  costs: readonly (readonly number[])[],
  rowPrice: Float64Array,
  columnPrice: Float64Array,
  owner: Int32Array,
): void {
  const least = new Float64Array(owner.length).fill(Infinity);
  const from = new Int32Array(owner.length);
  const seen = new Uint8Array(owner.length);
  let at = 0;
  while (owner[at] !== 0) {
    seen[at] = 1;
    const row = owner[at];
    let next = 0;
    for (let j = 1; j < owner.length; j++) {
      if (seen[j] === 1) continue;
      const cost = costs[row - 1][j - 1] - rowPrice[row] - columnPrice[j];
      if (cost < least[j]) [least[j], from[j]] = [cost, at];
      if (next === 0 || least[j] < least[next]) next = j;
    }
    const step = least[next];
    for (let j = 0; j < owner.length; j++) {
      if (seen[j] === 0) least[j] -= step;
      else {
        rowPrice[owner[j]] += step;
        columnPrice[j] -= step;
      }
    }
    at = next;
  }
  for (; at !== 0; at = from[at]) owner[at] = owner[from[at]];
}
