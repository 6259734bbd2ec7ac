import { defined } from '../../defined.js';
import { maskIou } from '../../io/mask.js';
import { drawMarks, panels } from '../../io/overlay.js';
import type { ReadImage } from '../../models/segmenter.js';
import { uniform } from '../../random.js';
import type { Image, Mask, Masked, Prompt, Sample, Scored } from '../../records.js';
import { pixelsOf } from '../faults.js';

/** A row to look at: its best completion, of a group also the worst, and the row's score. */
export interface Exhibit extends Pick<Sample, 'id' | 'image' | 'frame' | 'truth' | 'task' | 'original'> {
  readonly prompt: Prompt | null;
  readonly mask: Mask | null;
  readonly worth: number;
  /** What was written: the best, and of a group the worst. */
  readonly answers?: readonly ShownAnswer[];
  /** What the worst of a group asked for, and got. */
  readonly worst?: { readonly prompt: Prompt | null; readonly mask: Mask | null };
  /** Optimizer steps that the policy had seen when it wrote. */
  readonly step?: number;
}

/** A completion beside its picture. */
export interface ShownAnswer {
  readonly text: string;
  /** Its own, not the group's; absent without rewards. */
  readonly reward?: number;
  /** With the ground truth, at frame size; absent without one. */
  readonly iou?: number;
}

/** Side by side: the image, the completions drawn over it, the best one first, and the ground truth. */
export interface Panel extends Pick<Exhibit, 'id' | 'worth' | 'answers' | 'step'> {
  /** `best-1`, `worst-1`, `random-1` … */
  readonly name: string;
  readonly image: Image;
}

/** Keeps only the rows to look at: at most three times `each`. */
export interface Gallery {
  /** @param worth ranks rows; NaN is not shown. */
  add(row: Masked & Partial<Pick<Scored, 'rewards'>>, worth: number): void;
  chosen(): { readonly name: string; readonly exhibit: Exhibit }[];
  /** Its state, to start another with. */
  kept(): GalleryState;
}

/** What a gallery holds. */
export interface GalleryState {
  readonly best: readonly Exhibit[];
  readonly worst: readonly Exhibit[];
  readonly random: readonly Exhibit[];
}

/** Up to `each` rows with the highest scores, the lowest, and at random, chosen by their ids. */
export function gallery(each: number, before?: GalleryState): Gallery {
  const best: Exhibit[] = [...(before?.best ?? [])];
  const worst: Exhibit[] = [...(before?.worst ?? [])];
  const random: Exhibit[] = [...(before?.random ?? [])];
  return {
    add(row, worth) {
      if (each === 0 || Number.isNaN(worth)) return;
      const exhibit = exhibited(row, worth);
      insert(best, exhibit, (a, b) => a.worth > b.worth, each);
      insert(worst, exhibit, (a, b) => a.worth < b.worth, each);
      insert(random, exhibit, (a, b) => uniform('gallery', a.id) < uniform('gallery', b.id), each);
    },
    chosen() {
      const named = (kind: string, exhibits: readonly Exhibit[]) =>
        exhibits.map((exhibit, i) => ({ name: `${kind}-${i + 1}`, exhibit }));
      return [...named('best', best), ...named('worst', worst), ...named('random', random)];
    },
    kept: () => ({ best: [...best], worst: [...worst], random: [...random] }),
  };
}

/** Draws an exhibit, magnified where its frame is small. */
export async function panelOf(readImage: ReadImage, name: string, exhibit: Exhibit): Promise<Panel> {
  const { id, truth, worth, answers, worst, step } = exhibit;
  const image = magnified(await pixelsOf(readImage, exhibit));
  const drawn = [exhibit, ...(worst ? [worst] : [])].map(({ prompt, mask }) =>
    drawMarks(image, { ...(prompt && { prompt }), ...(mask && { mask }) }),
  );
  return {
    name,
    id,
    worth,
    ...defined({ answers, step }),
    image: panels([image, ...drawn, drawMarks(image, truth ? { truth } : {})]),
  };
}

const SMALL = 336;

/** Each pixel as a square of pixels, so lines drawn over them hide little. */
function magnified({ width, height, data }: Image): Image {
  const times = Math.max(1, Math.floor(SMALL / Math.max(width, height)));
  const out = {
    width: width * times,
    height: height * times,
    data: new Uint8Array(width * height * times * times * 3),
  };
  for (let y = 0, o = 0; y < out.height; y++) {
    for (let x = 0; x < out.width; x++, o += 3) {
      const from = (Math.floor(y / times) * width + Math.floor(x / times)) * 3;
      for (let c = 0; c < 3; c++) out.data[o + c] = data[from + c];
    }
  }
  return out;
}

function exhibited(row: Parameters<Gallery['add']>[0], worth: number): Exhibit {
  const { id, image, frame, truth, task, original, prompts, masks, completions, rewards, policyVersion } = row;
  const shown = [...new Set(extremes(rewards?.total ?? []))];
  const [best, worst] = shown;
  const drawnOf = (g: number) => ({ prompt: prompts[g] ?? null, mask: masks[g] ?? null });
  const answers = shown.flatMap((g) => {
    const text = completions[g]?.text;
    return text === undefined ? [] : [{ text, ...defined({ reward: rewards?.total[g], iou: iouOf(row, g) }) }];
  });
  return {
    id,
    image,
    frame,
    ...defined({ truth }),
    task,
    original,
    worth,
    ...drawnOf(best),
    ...(answers.length > 0 && { answers }),
    ...(worst !== undefined && { worst: drawnOf(worst) }),
    step: policyVersion,
  };
}

/** Indices of the highest and the lowest reward, each the first of its value; the first completion without rewards. */
function extremes(rewards: readonly number[]): [best: number, worst: number] {
  const known = rewards.flatMap((reward, g) => (Number.isNaN(reward) ? [] : [g]));
  const first = known[0] ?? 0;
  return [
    known.reduce((best, g) => (rewards[g] > rewards[best] ? g : best), first),
    known.reduce((worst, g) => (rewards[g] < rewards[worst] ? g : worst), first),
  ];
}

function iouOf({ truth, masks, rewards }: Parameters<Gallery['add']>[0], g: number): number | undefined {
  const known = rewards?.byName['iou']?.[g];
  if (known !== undefined) return Number.isNaN(known) ? undefined : known;
  const mask = masks[g];
  return truth && (mask ? maskIou(mask, truth) : 0);
}

/** Inserts `item` before the first that it beats, and drops the excess; equals keep their order. */
function insert<T>(list: T[], item: T, beats: (a: T, b: T) => boolean, most: number): void {
  const at = list.findIndex((other) => beats(item, other));
  list.splice(at < 0 ? list.length : at, 0, item);
  list.length = Math.min(list.length, most);
}
