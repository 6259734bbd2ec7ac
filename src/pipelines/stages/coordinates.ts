import { coordinatesOf } from '../../models/policies.js';
import type { Coordinates } from '../../models/policy.js';
import type { StageContext } from '../stage.js';

/** Units of written coordinates: the stage's option, else the policy's, else pixels. */
export async function coordinatesFor(
  chosen: Coordinates | undefined,
  { settings: { policy } }: Pick<StageContext, 'settings'>,
): Promise<Coordinates> {
  return chosen ?? (policy ? await coordinatesOf(policy.checkpoint) : 'pixels');
}
