import type { Stage } from './stage.js';
import { answers } from './stages/answers.js';
import { judging } from './stages/judging.js';
import { lessons } from './stages/lessons.js';
import { shards } from './stages/shards.js';
import { sources } from './stages/sources.js';

/** The stages that a pipeline may name, in stream order. */
export const stages: ReadonlyMap<string, Stage> = new Map([sources, answers, judging, lessons, shards].flat().map((entry) => [entry.name, entry]));
