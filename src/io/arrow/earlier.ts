/** Columns as earlier versions stored them, read as those of today. */
import { z } from 'zod';

import type { Prompt, SceneKey } from '../../records.js';
import { json, prompt, scene, type Cell } from './cells.js';

/** One earlier version. */
interface Earlier {
  /** Where a column's values stood, if it was called otherwise. */
  readonly place: (column: string) => readonly [column: string, child?: string];
  /** A column's stored value as today's. @throws {DataError} for damaged text. */
  readonly today: (column: string, stored: unknown) => unknown;
  /** Names of the reward's parts, from those of structs' children. */
  readonly parts: (children: (column: string) => readonly string[]) => readonly string[];
}

const count = z.number();

const sceneText = json<SceneKey>(
  z.strictObject({
    kind: z.enum(['main', 'pick']),
    seed: count,
    index: count,
    rule: z.enum(['warm', 'striped', 'largest', 'any']),
  }),
);

const promptText = json<Prompt>(
  z.strictObject({
    frame: z.strictObject({ width: count, height: count }),
    objects: z.array(
      z.strictObject({
        box: z.tuple([count, count, count, count]).exactOptional(),
        points: z.array(z.strictObject({ x: count, y: count, label: z.literal([0, 1]) })),
        everyPoint: z.literal(true).exactOptional(),
      }),
    ),
  }),
);

/** Text as today's cell stores what it says. */
const retold =
  <Value>(text: Cell<Value>, now: Cell<Value>) =>
  (stored: unknown): unknown =>
    typeof stored === 'string' ? now.write(text.read(stored)) : stored;

const scenes = retold(sceneText, scene);
const prompts = retold(promptText, prompt);

/** Version 1: scenes and prompts as JSON, the reward's parts in one struct. */
const first: Earlier = {
  place: (column) => (column.startsWith('reward_') ? ['reward_parts', column.slice('reward_'.length)] : [column]),
  today(column, stored) {
    if (column === 'scene') return scenes(stored);
    if (column === 'prompts' && Array.isArray(stored)) return stored.map(prompts);
    if (column === 'fitted' && stored !== null && typeof stored === 'object')
      return { ...stored, prompt: prompts((stored as { prompt?: unknown }).prompt) };
    return stored;
  },
  parts: (children) => children('reward_parts'),
};

/** Earlier versions that are read, by their number in the schema's metadata. */
export const earlier: Readonly<Record<string, Earlier>> = { 1: first };
