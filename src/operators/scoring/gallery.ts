import { defined } from '../../defined.js';
import { drawMarks, panels } from '../../io/overlay.js';
import type { ReadImage } from '../../models/segmenter.js';
import { uniform } from '../../random.js';
import type { Image, Mask, Masked, Prompt, Sample } from '../../records.js';
import { pixelsOf } from '../faults.js';

/** A row to look at: its first completion, and its score. */
export interface Exhibit extends Pick<Sample, 'id' | 'image' | 'frame' | 'truth' | 'task' | 'original'> {
  readonly prompt: Prompt | null;
  readonly mask: Mask | null;
  readonly worth: number;
}

/** Side by side: the image, the prediction drawn over it, the ground truth. */
export interface Panel {
  /** `best-1`, `worst-1`, `random-1` … */
  readonly name: string;
  readonly id: string;
  readonly worth: number;
  readonly image: Image;
}

/** Keeps only the rows to look at: at most three times `each`. */
export interface Gallery {
  /** @param worth ranks rows; NaN is not shown. */
  add(row: Masked, worth: number): void;
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
  const { id, prompt, mask, truth, worth } = exhibit;
  const image = magnified(await pixelsOf(readImage, exhibit));
  const answer = drawMarks(image, { ...(prompt && { prompt }), ...(mask && { mask }) });
  return { name, id, worth, image: panels([image, answer, drawMarks(image, truth ? { truth } : {})]) };
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

function exhibited({ id, image, frame, truth, task, original, prompts, masks }: Masked, worth: number): Exhibit {
  return {
    id,
    image,
    frame,
    ...defined({ truth }),
    task,
    original,
    prompt: prompts[0] ?? null,
    mask: masks[0] ?? null,
    worth,
  };
}

/** Inserts `item` before the first that it beats, and drops the excess; equals keep their order. */
function insert<T>(list: T[], item: T, beats: (a: T, b: T) => boolean, most: number): void {
  const at = list.findIndex((other) => beats(item, other));
  list.splice(at < 0 ? list.length : at, 0, item);
  list.length = Math.min(list.length, most);
}
