/** A module with an objective of its own: GRPO by another name. */
import type { Objective } from '../../../src/objectives/objective.js';
import { grpo } from '../../../src/objectives/policy-gradient.js';

export function objective(options: unknown): Objective {
  const { kl } = options as { readonly kl: number };
  return { ...grpo(kl), name: `own ${kl}` };
}
