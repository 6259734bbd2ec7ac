import { concat, defer, EMPTY, from, ignoreElements, type OperatorFunction } from 'rxjs';

import type { Policy } from '../models/policy.js';

/** Passes rows on and, when they have all come, writes the policy to `folder(steps)`; nothing where no step was taken. */
export function checkpoint<T>(policy: Policy, folder: (steps: number) => string): OperatorFunction<T, T> {
  const saved = defer(() => (policy.version === 0 ? EMPTY : from(policy.save(folder(policy.version))).pipe(ignoreElements())));
  return (rows) => concat(rows, saved);
}
