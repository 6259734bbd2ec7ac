/** A module with an objective of its own: GRPO by another name. */
import { grpo } from '../../../src/objectives/policy-gradient.js';

export const objective = { ...grpo(0.04), name: 'own' };
