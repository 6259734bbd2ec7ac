/** How far numbers lie apart. All are NaN where one of the numbers is. */

function alike(own, expected) {
  if (own.length !== expected.length) throw new Error(`expected ${expected.length} values; got ${own.length}`);
}

/** Largest |a - b| / max(floor, |b|). */
export function farthest(own, expected, floor = 1) {
  alike(own, expected);
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(own[i] - expected[i]) / Math.max(floor, Math.abs(expected[i]));
    if (Number.isNaN(error)) return NaN;
    most = Math.max(most, error);
  }
  return most;
}

/** Largest |a - b|. */
export function furthest(own, expected) {
  alike(own, expected);
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(own[i] - expected[i]);
    if (Number.isNaN(error)) return NaN;
    most = Math.max(most, error);
  }
  return most;
}

/** Root mean square of a - b. */
export function apart(own, expected) {
  alike(own, expected);
  let sum = 0;
  for (let i = 0; i < expected.length; i++) sum += (own[i] - expected[i]) ** 2;
  return Math.sqrt(sum / expected.length);
}

/** Norm of a - b as a share of that of b. */
export function share(own, expected) {
  alike(own, expected);
  let [sum, whole] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    sum += (own[i] - expected[i]) ** 2;
    whole += expected[i] ** 2;
  }
  return whole === 0 && sum === 0 ? 0 : Math.sqrt(sum / whole);
}

/** How many places differ; what one has more than the other counts too. */
export function differing(own, expected) {
  let count = Math.abs(own.length - expected.length);
  for (let i = 0; i < Math.min(own.length, expected.length); i++) if (own[i] !== expected[i]) count++;
  return count;
}
