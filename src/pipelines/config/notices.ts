import type { Pipeline } from './read.js';
import { roomNotice } from './room.js';
import { pipelineContext } from '../stage.js';

/** Notices about allowed but unusual settings, after the name of the pipeline or stage. */
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

/** Evaluations decode greedily: sampled completions differ with every seed. */
function drawn({ name, settings, stages }: Pipeline): string[] {
  const { stage, value: { temperature = 0 } = {} } = pipelineContext(settings, stages).fact('sampling') ?? {};
  if (temperature === 0) return [];
  return [
    `${name} judges answers that are drawn, at ${stage}.temperature ${temperature}: what they come to hangs on the seed; way out: ${stage}.temperature: 0`,
  ];
}
