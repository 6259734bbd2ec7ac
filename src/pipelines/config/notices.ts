import type { Pipeline } from './read.js';
import { roomNotice } from './room.js';
import { Frame as FrameOption, frameFault, shownFrame, trainedFrame } from '../../models/frame.js';
import { frameOf } from '../../operators/load-options.js';
import { pipelineContext, type PipelineContext } from '../stage.js';

/** Notices about allowed but unusual settings, after the name of the pipeline or stage. */
export async function noticesOf({ settings, stages, evaluation, settled = [] }: Pipeline): Promise<string[]> {
  const around = pipelineContext(settings, stages);
  const own = stages.flatMap(({ name, stage, options }) =>
    (stage.notices?.(options, around) ?? []).map((text) => `${name}  ${text}`),
  );
  const room = await roomNotice(around);
  const frame = await otherFrame(around);
  return [
    ...own,
    ...(frame === undefined ? [] : [frame]),
    ...settled.map((text) => `policy  ${text}`),
    ...(room === undefined ? [] : [`policy  ${room}`]),
    ...(evaluation ? drawn(evaluation).map((text) => `evaluate  ${text}`) : []),
  ];
}

/** Rows in another frame than the policy's: it would write boxes in the corner, or outside. */
async function otherFrame({ settings, fact }: PipelineContext): Promise<string | undefined> {
  const source = fact('source');
  const asked = FrameOption.safeParse(source?.value.frame).data;
  if (!settings.policy || !source || asked === undefined || !fact('sampling')) return undefined;
  const { checkpoint, adapter } = settings.policy;
  const fault = await frameFault(frameOf(asked), checkpoint, adapter);
  const trained = await trainedFrame(checkpoint, adapter);
  return fault && trained && `${source.stage}.frame  ${fault}; way out: frame: ${shownFrame(trained)}`;
}

/** Evaluations decode greedily: sampled completions differ with every seed. */
function drawn({ name, settings, stages }: Pipeline): string[] {
  const { stage, value: { temperature = 0 } = {} } = pipelineContext(settings, stages).fact('sampling') ?? {};
  if (temperature === 0) return [];
  return [
    `${name} judges answers that are drawn, at ${stage}.temperature ${temperature}: what they come to hangs on the seed; way out: ${stage}.temperature: 0`,
  ];
}
