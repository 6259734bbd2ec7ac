/** Width and height in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** x1, y1, x2, y2: inclusive pixels of a frame that stands beside it. */
export type Box = readonly [number, number, number, number];

/** A click in pixels of a frame; label 1 is foreground, 0 background. */
export interface Point {
  readonly x: number;
  readonly y: number;
  readonly label: 0 | 1;
}

/** One object asked of the segmenter; at least a box or one point. */
export interface PromptObject {
  readonly box?: Box;
  readonly points: readonly Point[];
  /** Points outside the box count too. */
  readonly everyPoint?: true;
}

/** The policy's prompt for the segmenter, in integer pixels of `frame`, as written. */
export interface Prompt {
  readonly frame: Size;
  readonly objects: readonly PromptObject[];
}

/** COCO run lengths, column by column: zeros, ones, zeros …; they sum to width × height. */
export interface Mask extends Size {
  readonly counts: readonly number[];
}

/** Decoded pixels: RGB bytes, row by row, [height × width × 3]. */
export interface Image extends Size {
  readonly data: Uint8Array;
}

/** Where pixels come from: a file, or a scene drawn on demand. */
export type ImageSource = { readonly path: string } | { readonly scene: SceneKey };

/** Names one procedurally drawn scene: the same key draws the same pixels anywhere. */
export interface SceneKey {
  /** `main`: one object, large or camouflaged, with small distractors; `pick`: three or four objects to choose from. */
  readonly kind: 'main' | 'pick';
  readonly seed: number;
  readonly index: number;
  /** `pick`: which object is the target, by attribute; `any` draws one at random. `main` has but one. */
  readonly rule: 'warm' | 'striped' | 'largest' | 'any';
}

/** Why a row is skipped; later stages pass it on unchanged. */
export interface Skipped {
  readonly stage: string;
  readonly reason: string;
}

/** The objects of a scene, one of which is the target. */
export interface Candidates {
  readonly boxes: readonly Box[];
  /** The name of each: its colour. */
  readonly names: readonly string[];
  readonly target: number;
  /** All of them together, at frame size. */
  readonly mask: Mask;
}

/** A question with one right answer, of a benchmark. */
export interface Question {
  readonly benchmark: 'pope' | 'mme' | 'mmbench' | 'ai2d';
  /** A part with its own scores: a split, a subtask, or a category, with `/` between a wider and a narrower one. */
  readonly part: string;
  /** Questions of one item count together: those about one image, or one question in several orders of its options. */
  readonly item: string;
  /** How far the options are turned; 0 as published. */
  readonly turn: number;
  /** Texts of the options A, B, …; none if the answer is yes or no. */
  readonly options: readonly string[];
  /** The right one: `yes`, `no` or a letter. */
  readonly answer: string;
}

/** One image with its ground truth and its instruction. Paths, not pixels: a row may wait in a queue. */
export interface Sample {
  /** Unique in the run, and the same in every run: `epoch/index/name`. */
  readonly id: string;
  readonly image: ImageSource;
  /** At `frame` size; absent for prediction. */
  readonly truth?: Mask;
  /** Pixels that count neither for nor against a mask, at `frame` size. */
  readonly ignore?: Mask;
  /** Source of the ground truth: a picture, or a place in a file of annotations. */
  readonly truthPath?: string;
  readonly instruction?: string;
  /** The question of the instruction, if it has a right answer in words. */
  readonly question?: Question;
  readonly task: string;
  /** What its set is called in tables. */
  readonly set?: string;
  /** The stretched frame that the policy is shown and writes in. */
  readonly frame: Size;
  /** Size of the image as stored. */
  readonly original: Size;
  /** All objects that could be the target; scenes only. */
  readonly candidates?: Candidates;
  readonly skipped?: Skipped;
}

/** One completion of the policy. */
export interface Completion {
  readonly text: string;
  /** Ids after the prompt, the end token included where one was written. */
  readonly tokens: readonly number[];
  /** Under the distribution sampled from, one for each token. */
  readonly logProbs: readonly number[];
  readonly finish: 'stop' | 'length';
  /** Of the distribution that each token was drawn from, in nats; if requested. */
  readonly entropies?: readonly number[];
}

/** Sampling options of completions. */
export interface SamplingOptions {
  /** 0 writes the likeliest token. */
  readonly temperature: number;
  readonly repetitionPenalty: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly maxTokens: number;
}

/** Added by `rollout`. */
export interface RolledOut extends Sample {
  readonly prompt: string;
  readonly promptTokens: readonly number[];
  readonly completions: readonly Completion[];
  /** Optimizer steps that the sampling weights had seen. */
  readonly policyVersion: number;
  /** Absent in rows that were written before 0.3. */
  readonly sampling?: SamplingOptions;
}

/** Added by `answer`: the answer, null if unreadable, and whether it is right. */
export interface Answered extends RolledOut {
  readonly answer: string | null;
  readonly correct: 0 | 1;
}

/** Why a completion earns nothing, or little, by what is written in it; `docs/rows.md` explains each. */
export const PARSE_REASONS = [
  'empty',
  'echoed-prompt',
  'truncated',
  'other-convention',
  'no-box',
  'no-points',
  'wrong-labels',
  'wrong-nesting',
  'wrong-numbers',
  'beyond-frame',
  'upside-down',
  'malformed',
] as const;
export type ParseReason = (typeof PARSE_REASONS)[number];

/** Added by `parse`; null where the text could not be read. `formats` is 1 where every part parsed. */
export interface Prompted extends RolledOut {
  readonly prompts: readonly (Prompt | null)[];
  readonly formats: readonly number[];
  /** Why; null where a prompt was read that lies in its frame. Absent in rows that were written before 0.3. */
  readonly parseReasons?: readonly (ParseReason | null)[];
}

/** Added by `mask`, at frame size; null where there is no prompt. */
export interface Masked extends Prompted {
  readonly masks: readonly (Mask | null)[];
}

/**
 * Added by `reward`: [G] totals, and each part by name; NaN for a part that doesn't apply, and for a total of no
 * applicable part.
 */
export interface Scored extends Masked {
  readonly rewards: {
    readonly total: readonly number[];
    readonly byName: Readonly<Record<string, readonly number[]>>;
    /** Non-finite results, by function. */
    readonly notFinite?: string;
  };
}

/** Added by `score`: metrics of the first mask at the ground truth's stored size, by name. */
export interface Measured extends Masked {
  readonly scores: Readonly<Record<string, number>>;
}

/** Added by `advantage`: [G]. */
export interface Advantaged extends Scored {
  readonly advantages: readonly number[];
}

/** Added by `update`: the optimizer step that took the row in, counted from 1. */
export interface Updated extends Advantaged {
  readonly step: number;
}

/** Added by `fit`: a prompt with which the segmenter finds the ground truth. */
export interface Fitted extends Sample {
  readonly fitted: {
    readonly prompt: Prompt;
    /** IoU of the box alone, then after each click that was tried. */
    readonly ious: readonly number[];
    /** The prompt as a policy would write it. */
    readonly text: string;
  };
}

/** Added by `think`: the columns of a data set of thoughts. */
export interface Thought extends Fitted {
  /** The question. */
  readonly problem: string;
  /** The reasoning behind the prompt, with its tags. */
  readonly thinking: string;
  /** The prompt as a policy would write it after its thought. */
  readonly solution: string;
}

/** A row at any stage: marked rows lack the columns of later stages. */
export type Row = Sample & Partial<Omit<Updated & Measured & Thought & Answered, keyof Sample>>;
