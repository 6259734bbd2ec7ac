import { z } from 'zod';

import { benchmarkNames } from '../io/benchmarks/named.js';
import { SMALLEST_SIDE } from '../io/scenes.js';
import { setNames } from '../io/sets/named.js';
import type { Size } from '../records.js';

const Paths = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);
/** A longer side is a mistake: a frame of this size has 805 MB, and no policy reads it. */
const LONGEST = 16_384;
/** Of drawn scenes, whose levels are computed in float32. */
const LONGEST_DRAWN = 4096;
const Pixels = z.int().min(1).max(LONGEST);

const Scenes = z.strictObject({
  /** `pick`: three or four objects to choose from; `main`: one object. */
  kind: z.enum(['pick', 'main']).default('pick'),
  /** `pick`: which object is the target; `any` takes one at random. */
  rule: z.enum(['warm', 'striped', 'largest', 'any']).default('warm'),
  count: z.int().min(1).max(10_000_000),
  /** Key of the pictures; the run's seed by default. */
  seed: z.int().optional(),
  /** Number of the first scene: sets that do not overlap share no picture. */
  offset: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(0),
});

const Part = z
  .strictObject({
    /** Shares of the images, 0 to 1. */
    from: z.number().min(0).max(1).default(0),
    to: z.number().min(0).max(1).default(1),
    /** Key of the choice: the same in all pipelines that share a folder. */
    seed: z.int().default(0),
  })
  .refine(({ from, to }) => from < to, 'expected from to be less than to');

export const LoadOptions = z
  .strictObject({
    /** Scenes drawn on demand, instead of folders. */
    scenes: Scenes.optional(),
    /** A published set by its name; or `coco` and `jsonl` for your own file. */
    set: z.enum(setNames).optional(),
    /** A benchmark of general understanding by its name, as it is published. */
    benchmark: z.enum(benchmarkNames).optional(),
    /** Folder of the set or benchmark, or the file. */
    root: z.string().min(1).optional(),
    /** Part of the set, `test` by default; of a benchmark, all by default. */
    split: z.string().min(1).optional(),
    /** Folders of images, one or several; with a set, the folder of its images if they are elsewhere. */
    images: Paths.optional(),
    /** Folders of masks, one or several; without them rows have no ground truth, for prediction. */
    masks: Paths.optional(),
    /** File names of images to take, with `*` and `?`. */
    pattern: z.string().min(1).optional(),
    /** Images to leave out: names, ends of paths or ids of rows, with `*` and `?`. */
    exclude: Paths.optional(),
    /** Files that list such names, one a line. */
    excludeFile: Paths.optional(),
    /** A share of the images, chosen by their names: an image stays where it is when others join. */
    part: Part.optional(),
    /** What the set is called in rows and tables, or each folder of images; by default as its folder. */
    name: Paths.optional(),
    /** Images without a mask: `refuse` them before any work, or `mark` their rows. */
    maskless: z.enum(['refuse', 'mark']).default('refuse'),
    /** Size that images are stretched to: one number for a square, or width and height, px. */
    frame: z.union([Pixels, z.tuple([Pixels, Pixels])]).default(768),
    epochs: z.int().min(1).default(1),
    /** Another order each epoch; the seed decides it. */
    shuffle: z.boolean().default(true),
    /** Key of the order, and of scenes without their own. */
    seed: z.int().default(0),
    /** Number of images or scenes to take from the start, before shuffling. */
    limit: z.int().min(1).optional(),
    /** Unusable rows before the stream fails. */
    tolerate: z.int().min(0).default(0),
    /** What is asked of every image. */
    instruction: z.string().min(1).optional(),
    /** Texts of a ReasonSeg image: all, or the `first` alone, as LISA evaluates. */
    texts: z.enum(['all', 'first']).default('all'),
    /** `legacy` takes the items that Seg-R1's released evaluation takes, drawn by the seed. */
    protocol: z.enum(['standard', 'legacy']).default('standard'),
  })
  .superRefine((options, context) => {
    const { scenes, benchmark, images, masks, pattern, root, split, frame, instruction, protocol, shuffle } = options;
    const { exclude, excludeFile, part, name, texts } = options;
    const set = options.set ?? benchmark;
    const refuse = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    if (scenes && images) refuse('scenes', 'expected either scenes or images; got both');
    if (scenes && set) refuse('scenes', `expected either scenes or a ${benchmark ? 'benchmark' : 'set'}; got both`);
    if (options.set && benchmark) refuse('benchmark', 'expected either a set or a benchmark; got both');
    if (!scenes && !set && !images)
      refuse('scenes', 'expected scenes, a set, a benchmark, or images and masks; got none of them');
    if (!images && !set && masks) refuse('masks', 'expected images beside masks; got masks alone');
    if (!images && !set && pattern) refuse('pattern', 'expected images beside a pattern; got a pattern alone');
    if (set && root === undefined) refuse('root', `expected where ${set} lies; got nothing`);
    if (set && masks) refuse('masks', 'expected the masks of the set; got others');
    if (set && pattern) refuse('pattern', 'expected all of the set; got a pattern');
    if (set && Array.isArray(images)) refuse('images', 'expected one folder beside a set; got a list');
    if (benchmark && instruction !== undefined)
      refuse('instruction', 'expected the questions of the benchmark; got another instruction');
    if (benchmark && benchmark !== 'pope' && images)
      refuse('images', `expected the pictures of ${benchmark}; got others`);
    if (texts === 'first' && options.set !== 'reasonseg')
      refuse('texts', `expected set: reasonseg beside texts: first; got ${options.set ?? 'no set'}`);
    if (texts === 'first' && protocol === 'legacy')
      refuse('texts', 'expected all beside protocol: legacy, which draws one of them; got first');
    for (const [option, value] of Object.entries({ exclude, excludeFile, part }))
      if (value !== undefined && (scenes || benchmark))
        refuse(option, `expected images or a set beside ${option}; got ${scenes ? 'scenes' : 'a benchmark'}`);
    const named = [name ?? []].flat().length;
    const folders = images && !set ? [images].flat().length : 1;
    if (named > 1 && named !== folders)
      refuse('name', `expected one name, or one for each of ${folders} folders of images; got ${named}`);
    if (!set && root !== undefined) refuse('root', 'expected a set beside root; got root alone');
    if (!set && split !== undefined) refuse('split', 'expected a set beside split; got split alone');
    if (protocol === 'legacy' && !options.set) refuse('protocol', 'expected a set beside protocol: legacy; got none');
    if (protocol === 'legacy' && shuffle)
      refuse('shuffle', 'expected false beside protocol: legacy, which goes by the order of items; got true');
    const { width, height } = frameOf(frame);
    if (scenes && (width !== height || width < SMALLEST_SIDE || width > LONGEST_DRAWN)) {
      const wanted = `a square of at least ${SMALLEST_SIDE} px${width > LONGEST_DRAWN ? ` and at most ${LONGEST_DRAWN}` : ''}`;
      refuse('frame', `expected ${wanted} for scenes; got ${width}x${height}`);
    }
  });
export type LoadOptions = z.input<typeof LoadOptions>;

/** The size that an option `frame` means. */
export function frameOf(frame: number | readonly [number, number]): Size {
  return typeof frame === 'number' ? { width: frame, height: frame } : { width: frame[0], height: frame[1] };
}
