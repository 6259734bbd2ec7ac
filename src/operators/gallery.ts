import { drawMarks, panels } from '../io/overlay.js';
import type { ReadImage } from '../models/segmenter.js';
import type { Image, Mask, Prompt, Sample, Scored } from '../records.js';
import { pixelsOf } from './faults.js';
import { mean } from './statistics.js';

/** A row worth looking at: its first answer, and what the whole group earned. */
export interface Exhibit extends Pick<Sample, 'id' | 'image' | 'frame' | 'truth' | 'task' | 'original'> {
  readonly prompt: Prompt | null;
  readonly mask: Mask | null;
  readonly reward: number;
}

/** Side by side: the image, the answer drawn over it, the truth. */
export interface Panel {
  /** `best-1`, `worst-1`, `spaced-1` … */
  readonly name: string;
  readonly id: string;
  readonly reward: number;
  readonly image: Image;
}

/** Keeps the rows that are to be looked at, and forgets the others: at most four times `each`. */
export interface Gallery {
  add(row: Scored): void;
  chosen(): { readonly name: string; readonly exhibit: Exhibit }[];
  /** What it holds, to begin another with. */
  kept(): GalleryState;
}

/** What a gallery holds. */
export interface GalleryState {
  readonly best: readonly Exhibit[];
  readonly worst: readonly Exhibit[];
  readonly spaced: Evenly<Exhibit>;
}

/** Up to `each` rows of the highest reward, of the lowest, and at even distances in the order of arrival. */
export function gallery(each: number, before?: GalleryState): Gallery {
  const best: Exhibit[] = [...(before?.best ?? [])];
  const worst: Exhibit[] = [...(before?.worst ?? [])];
  const spaced = evenly<Exhibit>(each, before?.spaced);
  return {
    add(row) {
      const reward = mean(row.rewards.total);
      if (each === 0 || Number.isNaN(reward)) return;
      const exhibit = exhibited(row, reward);
      insert(best, exhibit, (a, b) => a.reward > b.reward, each);
      insert(worst, exhibit, (a, b) => a.reward < b.reward, each);
      spaced.add(exhibit);
    },
    chosen() {
      const named = (kind: string, exhibits: readonly Exhibit[]) => exhibits.map((exhibit, i) => ({ name: `${kind}-${i + 1}`, exhibit }));
      return [...named('best', best), ...named('worst', worst), ...named('spaced', spaced.chosen())];
    },
    kept: () => ({ best: [...best], worst: [...worst], spaced: spaced.kept() }),
  };
}

/** Draws an exhibit, magnified where its frame is small. */
export async function panelOf(readImage: ReadImage, name: string, exhibit: Exhibit): Promise<Panel> {
  const { id, prompt, mask, truth, reward } = exhibit;
  const image = magnified(await pixelsOf(readImage, exhibit));
  const answer = drawMarks(image, { ...(prompt && { prompt }), ...(mask && { mask }) });
  return { name, id, reward, image: panels([image, answer, drawMarks(image, truth ? { truth } : {})]) };
}

const SMALL = 336;

/** Each pixel as a square of pixels, so that lines drawn over them hide little. */
function magnified({ width, height, data }: Image): Image {
  const times = Math.max(1, Math.floor(SMALL / Math.max(width, height)));
  const out = { width: width * times, height: height * times, data: new Uint8Array(width * height * times * times * 3) };
  for (let y = 0, o = 0; y < out.height; y++) {
    for (let x = 0; x < out.width; x++, o += 3) {
      const from = (Math.floor(y / times) * width + Math.floor(x / times)) * 3;
      for (let c = 0; c < 3; c++) out.data[o + c] = data[from + c] as number;
    }
  }
  return out;
}

function exhibited({ id, image, frame, truth, task, original, prompts, masks }: Scored, reward: number): Exhibit {
  return { id, image, frame, ...(truth && { truth }), task, original, prompt: prompts[0] ?? null, mask: masks[0] ?? null, reward };
}

/** Puts `item` before the first that it beats, and drops what is too many; among equals the first to come stays ahead. */
function insert<T>(list: T[], item: T, beats: (a: T, b: T) => boolean, most: number): void {
  const at = list.findIndex((other) => beats(item, other));
  list.splice(at < 0 ? list.length : at, 0, item);
  list.length = Math.min(list.length, most);
}

/** Every so-manieth of the items seen. */
interface Evenly<T> {
  readonly held: readonly T[];
  readonly every: number;
  readonly seen: number;
}

/** Every k-th item of a stream of unknown length; k doubles whenever more than twice `count` are held. */
function evenly<T>(count: number, before?: Evenly<T>): { add(item: T): void; chosen(): T[]; kept(): Evenly<T> } {
  let held: T[] = [...(before?.held ?? [])];
  let every = before?.every ?? 1;
  let seen = before?.seen ?? 0;
  return {
    add(item) {
      if (seen++ % every !== 0) return;
      held.push(item);
      if (held.length <= 2 * count) return;
      held = held.filter((_, i) => i % 2 === 0);
      every *= 2;
    },
    kept: () => ({ held: [...held], every, seen }),
    chosen: () => (held.length <= count ? [...held] : Array.from({ length: count }, (_, i) => held[Math.floor((i * held.length) / count)] as T)),
  };
}
