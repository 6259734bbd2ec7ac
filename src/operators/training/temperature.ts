import { UsageError } from '../../errors.js';
import type { RolledOut } from '../../records.js';

/** Default, since rows from before 0.3 lack `sampling`. */
export const UNSAID_TEMPERATURE = 1;

/**
 * The temperature at which a step's completions were drawn, and at which their log-probs are recomputed.
 *
 * @param unsaid default for rows without `sampling`.
 * @throws {UsageError} if it is 0, or not the same for all.
 */
export function temperatureOf(rows: readonly Pick<RolledOut, 'sampling'>[], unsaid: number): number {
  const [first = unsaid, ...others] = new Set(rows.map(({ sampling }) => sampling?.temperature ?? unsaid));
  if (others.length > 0)
    throw new UsageError(
      `update  temperature: expected the completions of a step to be drawn at one; got ${[first, ...others].join(', ')}`,
    );
  return drawn(first);
}

/** @throws {UsageError} if completions were not drawn at all. */
export function drawn(temperature: number): number {
  if (temperature > 0) return temperature;
  throw new UsageError(
    `update  temperature: expected completions drawn at one above 0; got ${temperature}, where every group is one completion over and over`,
  );
}
