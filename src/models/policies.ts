/** Policies of any family: opens, inspects, checks and exports a folder. */
import { messageOf, ModelError } from '../errors.js';
import { prompts } from '../prompts/seg-r1.js';
import { FAMILIES, readPolicyConfig } from './families.js';
import { trainedFrame } from './frame.js';
import type { Coordinates } from './policy.js';
import { readAdapter } from './vlm/adapter.js';
import type { Architecture } from './vlm/architecture.js';
import { openChat } from './vlm/chat.js';
import { messagesOf } from './vlm/messages.js';
import { inspectVlm, type InspectedAdapter, type InspectedCheckpoint } from './vlm/inspect.js';
import { adapterOf, LoraFault } from './vlm/lora.js';
import type { Use } from './vlm/memory.js';
import { mergeAdapter } from './vlm/merge.js';
import type { Training } from './vlm/parameters.js';
import { openTokenizer } from './vlm/tokenizer.js';
import { findWeights } from './vlm/weight-files.js';
import { openVlm, type VlmOptions, type VlmPolicy } from './vlm/policy.js';

export { readPolicyConfig } from './families.js';
export { baseOf } from './vlm/adapter.js';
export { PRECISIONS as SAVED_PRECISIONS, type Precision as SavedPrecision } from './vlm/checkpoint.js';
export { FULL_HOST, type InspectedAdapter, type InspectedCheckpoint } from './vlm/inspect.js';
export type { Use } from './vlm/memory.js';
export { copyCheckpoint } from './vlm/merge.js';
export { isExpression } from './vlm/module-pattern.js';
export { trainingFault } from './vlm/parameters.js';
export { patchMaskHead } from './vlm/supervised.js';

export interface OpenPolicyOptions extends Omit<VlmOptions, 'prompt'> {
  /** What the policy is asked; by default the checkpoint's own prompt, or else Seg-R1's of training. */
  readonly prompt?: VlmOptions['prompt'];
}

/**
 * Opens a Hugging Face checkpoint folder of a family that is known.
 *
 * @throws {ModelError} before any session is made, naming file, key or tensor, expected and got.
 */
export async function openPolicy(
  dir: string,
  options: OpenPolicyOptions,
  families: readonly Architecture[] = FAMILIES,
): Promise<VlmPolicy> {
  const config = await readPolicyConfig(dir, families);
  return await openVlm(dir, config, { ...options, prompt: options.prompt ?? config.prompt ?? prompts.rl });
}

/** Units in which the checkpoint's family writes coordinates. @throws {ModelError} as `readPolicyConfig`. */
export async function coordinatesOf(checkpoint: string): Promise<Coordinates> {
  return (await readPolicyConfig(checkpoint)).architecture.coordinates;
}

/**
 * Why a policy cannot be opened, as far as its configurations, its tokenizer, its chat template and the headers of its files say: the option
 * and the reason; no weight of the checkpoint is read.
 */
export async function policyFault({
  checkpoint,
  adapter,
  train,
}: {
  readonly checkpoint: string;
  readonly adapter?: string | undefined;
  readonly train?: Training['train'] | undefined;
}): Promise<{ readonly option: string; readonly text: string } | undefined> {
  let option = 'checkpoint';
  try {
    const config = await readPolicyConfig(checkpoint);
    const [, , chat] = await Promise.all([
      findWeights(checkpoint, config),
      openTokenizer(checkpoint),
      openChat(checkpoint),
    ]);
    chat.render(messagesOf({ user: '' }));
    if (typeof train === 'object') {
      option = 'train.lora';
      adapterOf(config, train.lora);
    }
    option = 'adapter';
    if (adapter !== undefined) await readAdapter(adapter, config);
    return undefined;
  } catch (error) {
    if (error instanceof LoraFault) return { option: `${option}.${error.option}`, text: messageOf(error) };
    if (error instanceof ModelError) return { option, text: messageOf(error) };
    throw error;
  }
}

/**
 * Inspects the folder of a policy or an adapter; reads configurations and headers, no weights.
 *
 * @param base of an adapter; the one that it names by default.
 * @throws {ModelError} if the folder could not be opened either.
 */
export function inspectPolicy(
  folder: string,
  use: Use,
  base?: string,
): Promise<InspectedCheckpoint | InspectedAdapter> {
  return inspectVlm(folder, readPolicyConfig, use, base);
}

/** Writes a checkpoint with an adapter merged; see `mergeAdapter` of `vlm`. @returns how many matrices changed. */
export async function exportMerged(base: string, adapter: string, dir: string): Promise<number> {
  const frame = await trainedFrame(base, adapter);
  return await mergeAdapter(base, await readPolicyConfig(base), adapter, dir, frame);
}
