import type { Stage } from '../stage.js';
import { answers } from './generation.js';
import { judging } from './scoring.js';
import { lessons } from './training.js';
import { shards } from './sinks.js';
import { sources } from './sources.js';

/** The stages that a pipeline may name, in stream order. */
export const stages: ReadonlyMap<string, Stage> = new Map(
  [sources, answers, judging, lessons, shards].flat().map((entry) => [entry.name, entry]),
);
