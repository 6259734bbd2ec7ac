import type { Stage } from '../stage.js';
import { generation } from './generation.js';
import { scoring } from './scoring.js';
import { training } from './training.js';
import { sinks } from './sinks.js';
import { sources } from './sources.js';

/** The stages that a pipeline may name, in stream order. */
export const stages: ReadonlyMap<string, Stage> = new Map(
  [sources, generation, scoring, training, sinks].flat().map((entry) => [entry.name, entry]),
);
