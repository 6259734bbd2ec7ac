import type { Pipeline } from './read.js';
import { roomNotice } from './room.js';
import { pipelineContext } from '../stage.js';

/** What a pipeline may do and is yet worth a word before it runs, behind the name of what it is about. */
export async function noticesOf({ settings, stages, evaluation }: Pipeline): Promise<string[]> {
  const around = pipelineContext(settings, stages);
  const own = stages.flatMap(({ name, stage, options }) =>
    (stage.notices?.(options, around) ?? []).map((text) => `${name}  ${text}`),
  );
  const room = await roomNotice(around);
  return [
    ...own,
    ...(room === undefined ? [] : [`policy  ${room}`]),
    ...(evaluation ? drawn(evaluation).map((text) => `evaluate  ${text}`) : []),
  ];
}

/** Answers that are judged are the likeliest: drawn ones come out otherwise with every seed. */
function drawn({ name, settings, stages }: Pipeline): string[] {
  const temperature = pipelineContext(settings, stages).option('rollout', 'temperature');
  if (typeof temperature !== 'number' || temperature === 0) return [];
  return [
    `${name} judges answers that are drawn, at rollout.temperature ${temperature}: what they come to hangs on the seed; way out: rollout.temperature: 0`,
  ];
}
