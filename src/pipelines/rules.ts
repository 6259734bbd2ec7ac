import { messageOf, UsageError } from '../errors.js';
import type { Refusal, Surroundings } from './stage.js';

/** A completion is compared with its siblings, so it needs one: `rollout.group` is at least 2. */
export function comparable({ option }: Surroundings): readonly Refusal[] {
  const group = option('rollout', 'group');
  if (typeof group !== 'number' || group >= 2) return [];
  return [{ option: '', text: `expected rollout.group of at least 2, to compare within a group; got ${group}` }];
}

/** A stage that gathers rows for a step waits for ever where fewer are let in: `option` is at most the window. */
export function withinWindow(option: string, rows: number, { settings }: Surroundings): readonly Refusal[] {
  if (rows <= settings.window) return [];
  return [{ option, text: `expected at most the window of ${settings.window}; got ${rows}; way out: window: ${rows}` }];
}

/** Limits of a draw, and where each is off. */
const UNLIMITED = { repetitionPenalty: 1, topK: 0, topP: 1, minP: 0 };

/** Completions drawn under limits carry the log-probs of what the limits leave; those that a step recomputes know the temperature alone. */
export function truncated({ option }: Surroundings): readonly string[] {
  const on = Object.entries(UNLIMITED).flatMap(([name, off]) => {
    const value = option('rollout', name);
    return typeof value === 'number' && value !== off ? [`rollout.${name} ${value}`] : [];
  });
  if (on.length === 0) return [];
  return [`log-probs are recomputed at the temperature alone, and completions are drawn with ${on.join(', ')}: the ratio of new to old probability is not 1 even before a step`];
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
