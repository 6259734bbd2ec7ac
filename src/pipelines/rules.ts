import { messageOf, UsageError } from '../errors.js';
import type { Refusal, Surroundings } from './stage.js';

/** A completion is compared with its siblings, so it needs one: `rollout.group` is at least 2. */
export function comparable({ option }: Surroundings): readonly Refusal[] {
  const group = option('rollout', 'group');
  if (typeof group !== 'number' || group >= 2) return [];
  return [{ option: '', text: `expected rollout.group of at least 2, to compare within a group; got ${group}` }];
}

/** A question is answered once: `rollout.group` is 1. */
export function alone({ option }: Surroundings): readonly Refusal[] {
  const group = option('rollout', 'group');
  if (typeof group !== 'number' || group === 1) return [];
  return [{ option: '', text: `expected rollout.group of 1, for one answer a question; got ${group}` }];
}

/** A stage that gathers rows for a step waits for ever where fewer are let in: `option` is at most the window. */
export function withinWindow(option: string, rows: number, { settings }: Surroundings): readonly Refusal[] {
  if (rows <= settings.window) return [];
  return [{ option, text: `expected at most the window of ${settings.window}; got ${rows}; way out: window: ${rows}` }];
}

/** What the caller's files are refused for, as a broken rule. */
export function refusedBy(look: () => unknown): readonly Refusal[] {
  try {
    look();
    return [];
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return [{ option: '', text: messageOf(error) }];
  }
}
