/** Keys that all image processors share, as Hugging Face spells them. */
import { z } from 'zod';

const MEAN = 'a number from -1000 to 1000';
const mean = z.number(MEAN).min(-1000, MEAN).max(1000, MEAN);
const DEVIATION = 'a number from 0.001 to 1000';
const deviation = z.number(DEVIATION).min(0.001, DEVIATION).max(1000, DEVIATION);

/** What is taken from the channels' values in [0, 1]; R G B. */
export const means = z.tuple([mean, mean, mean], 'three numbers');
/** What they are divided by then: never so small that float32 can't hold the result. */
export const deviations = z.tuple([deviation, deviation, deviation], 'three positive numbers');
