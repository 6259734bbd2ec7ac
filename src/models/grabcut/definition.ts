import { defineSegmenter } from '../segmenter.js';
import { GrabCutOptions, openGrabCut } from './segmenter.js';

/** OpenCV's grabCut, which has no weights. */
export const grabcut = defineSegmenter({ name: 'grabcut', options: GrabCutOptions, open: openGrabCut });
