import { messageOf, ModelError } from '../../errors.js';
import { defineSegmenter } from '../segmenter.js';
import { readSam2Config } from './config.js';
import { findExport } from './export.js';
import { inspectSam2 } from './inspect.js';
import { openSam2, Sam2Options } from './segmenter.js';
import { findWeights } from './weights.js';

/** SAM 2.1, a checkpoint or its export. */
export const sam2 = defineSegmenter({
  name: 'sam2',
  options: Sam2Options,
  paths: ['checkpoint'],
  open: openSam2,
  async fault({ checkpoint }) {
    try {
      if (!findExport(checkpoint)) await findWeights(checkpoint, await readSam2Config(checkpoint));
      return undefined;
    } catch (error) {
      if (error instanceof ModelError) return { option: 'checkpoint', text: messageOf(error) };
      throw error;
    }
  },
  reads: (modelType) => modelType.startsWith('sam2'),
  inspect: inspectSam2,
});
