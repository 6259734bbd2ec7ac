import { openEngine } from '../../tensor/engines.js';
import { unusedText } from '../inspected.js';
import { readSam2Config } from './config.js';
import type { Cores, Sam2Model } from './model.js';
import { openNetwork, type KeptEmbedding } from './network.js';
import { promptTokens } from './prompts.js';
import { openWeights } from './weights.js';

/**
 * Opens a checkpoint folder in transformers' format, with our own graphs.
 *
 * @param multimask whether to take the best of three masks always, or only if the single one is unstable.
 * @param notice called with tensors that nothing uses.
 * @throws {ModelError} for another architecture, or weights that are missing or of another shape, before any session is
 * made.
 */
export async function openCheckpoint(
  dir: string,
  multimask: boolean,
  cores: Cores,
  notice: (text: string) => void = () => {},
): Promise<Sam2Model<KeptEmbedding>> {
  const config = await readSam2Config(dir);
  const engine = openEngine(cores);
  const weights = await openWeights(dir, config, engine.traits.halves).catch(async (error: unknown) => {
    await engine.release();
    throw error;
  });
  const unused = unusedText(weights.unused);
  if (unused !== undefined) notice(`${dir}  weights: tensors that are not used: ${unused}`);
  const network = await openNetwork(engine, weights, config, cores.precision);
  return {
    traits: multimask ? ['multimask'] : [],
    pixels: config,
    embeddingBytes: network.embeddingBytes,
    embed: (pixels) => network.keep(pixels),
    drop: (embedding) => network.drop(embedding),
    answer: (embedding, asked) =>
      network.answer(
        embedding,
        asked.map((clicks) => ({ tokens: promptTokens(weights, config, clicks) })),
        multimask,
      ),
    release: () => network.release(),
  };
}
