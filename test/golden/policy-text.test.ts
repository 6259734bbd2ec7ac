import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readImageFile } from '../../src/io/image.js';
import { openSafetensors, type Tensors } from '../../src/io/safetensors.js';
import { expandImages, openChat, type Message } from '../../src/models/vlm/chat.js';
import { readConfig } from '../../src/models/qwen2_5_vl/architecture.js';
import { mropePositions, windowOrder } from '../../src/models/qwen2_5_vl/positions.js';
import { imageTokens, type Grid } from '../../src/models/vlm/patches.js';
import { patches, smartResize } from '../../src/models/qwen2_5_vl/processor.js';
import { messagesOf } from '../../src/models/vlm/messages.js';
import { prompts, type PromptName } from '../../src/prompts/seg-r1.js';
import { openTokenizer } from '../../src/models/vlm/tokenizer.js';
import { goldenFolder } from './golden.js';

const folder = join(goldenFolder(), 'policy');
const checkpoints = ['tiny-qwen2_5_vl', 'tiny-qwen2_5_vl-tied-bf16'];
const config = await readConfig(join(folder, 'tiny-qwen2_5_vl'));
const grids: Readonly<Record<string, { grid: [number, number, number]; mode: string }>> = json('processor/pixels.json');

describe.each(checkpoints)('tokenizer of %s agrees with tokenizers', (name) => {
  const cases: { text: string; ids: number[]; decoded: string }[] = json('tokenizer/cases.json');

  it.each(cases)('$text', async ({ text, ids, decoded }) => {
    const tokenizer = await openTokenizer(join(folder, name));
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(decoded);
    expect(tokenizer.encode(tokenizer.decode(ids, { special: true }))).toEqual(ids);
  });
});

describe('chat agrees with transformers', () => {
  interface Rendered {
    readonly prompt: string;
    readonly image: string | readonly string[] | null;
    readonly answered: boolean;
    readonly messages: readonly Message[];
    readonly rendered: string;
    readonly ids: readonly number[];
  }
  const cases: Rendered[] = json('chat/prompts.json');
  const instructions: Partial<Record<string, string>> = {
    referring: 'the man on the left',
    'reason-sentence': 'What would you hold?',
    'reason-phrase': 'The red CUP',
    sft: 'Segment the bird.',
    demo: 'What is unusual in this picture?',
  };

  it.each(cases)('$prompt with $image', async ({ messages, image, rendered, ids }) => {
    const chat = await openChat(join(folder, 'tiny-qwen2_5_vl'));
    const tokenizer = await openTokenizer(join(folder, 'tiny-qwen2_5_vl'));
    const text = chat.render(messages, { answer: rendered.endsWith('assistant\n') });
    const names = image === null ? [] : typeof image === 'string' ? [image] : image;
    const counts = names
      .map((path) => gridOf(grids[path.slice('images/'.length, -'.png'.length)].grid))
      .map((grid) => imageTokens(grid, config.vision.merge));
    expect(text).toBe(rendered);
    expect(expandImages(tokenizer.encode(text), counts, config.tokens.image)).toEqual(ids);
  });

  it.each(cases.filter((one) => one.image !== null && one.prompt in prompts && !one.answered))(
    '$prompt is written out from its name',
    ({ prompt, messages }) => {
      expect(messagesOf(prompts[prompt as PromptName], instructions[prompt])).toEqual(messages);
    },
  );
});

it('smart_resize agrees with transformers', () => {
  const {
    limits,
    rows,
  }: { limits: [number, number][]; rows: { height: number; width: number; resized: ([number, number] | null)[] }[] } =
    json('processor/smart_resize.json');
  for (const { height, width, resized } of rows) {
    limits.forEach(([minPixels, maxPixels], i) => {
      const own = (): unknown => smartResize({ width, height }, { ...config, minPixels, maxPixels });
      const expected = resized[i];
      if (expected === null) expect(own).toThrow('expected sides within a ratio of 200');
      else expect(own(), `${height}×${width}`).toEqual({ height: expected[0], width: expected[1] });
    });
  }
});

describe('patches agree with transformers', () => {
  const names = readdirSync(join(folder, 'processor'))
    .filter((file) => file.endsWith('.safetensors'))
    .map((file) => file.slice(0, -'.safetensors'.length));
  const readable = names.filter((name) => existsSync(join(folder, 'images', `${name}.png`)));

  it.each(readable)('%s', async (name) => {
    const stored = await openSafetensors(join(folder, 'processor', `${name}.safetensors`));
    const image = await readImageFile(join(folder, 'images', `${name}.png`), { alpha: 'white' });
    const pillow = stored.has('pixel_values_pil') && patches(image, config, 'pillow');
    const torchvision = patches(image, config);
    const rows = stored.has('rows')
      ? await integers(stored, 'rows')
      : [...Array(torchvision.grid.h * torchvision.grid.w).keys()];
    expect(torchvision.grid).toEqual(gridOf(grids[name].grid));
    // torchvision's fixed point has fewer bits: a grey level here and there, 1 / (255 × 0.2613); libvips lays alpha on
    // white up to two levels off.
    expect(farthest(torchvision.pixels, await stored.read('pixel_values'), rows)).toBeLessThan(
      grids[name].mode === 'RGBA' ? 0.05 : 0.0151,
    );
    if (pillow) expect(farthest(pillow.pixels, await stored.read('pixel_values_pil'), rows)).toBeLessThan(1e-6);
  });
});

describe('positions agree with transformers', () => {
  const cases: Readonly<Record<string, { images: string[][] }>> = json('forward/cases.json');
  const names = Object.keys(cases).filter((name) => existsSync(join(folder, 'forward', `${name}.safetensors`)));

  it.each(names)('%s', async (name) => {
    const stored = await openSafetensors(join(folder, 'forward', `${name}.safetensors`));
    const [ids, attended, expected, deltas] = await Promise.all(
      ['input_ids', 'attention_mask', 'position_ids', 'rope_deltas'].map((key) => integers(stored, key)),
    );
    const thw = stored.has('image_grid_thw') ? await integers(stored, 'image_grid_thw') : [];
    const images = Array.from({ length: thw.length / 3 }, (_, i): Grid => gridOf(thw.slice(3 * i, 3 * i + 3)));
    const [rows, length] = stored.info('input_ids').shape;
    for (let row = 0, at = 0; row < rows; at += cases[name].images[row++].length) {
      const part = (values: readonly number[], from: number): number[] =>
        values.slice(from * length, (from + 1) * length);
      const padding = part(attended, row).indexOf(1);
      const own = mropePositions(
        part(ids, row),
        images.slice(at, at + cases[name].images[row].length),
        config,
        padding,
      );
      expect([...own.positions]).toEqual([0, 1, 2].flatMap((axis) => part(expected, axis * rows + row)));
      expect(own.delta).toBe(deltas[row]);
    }
    if (images.length === 0) return;
    const orders = images.map((grid) => windowOrder(grid, config.vision));
    const joined = orders.reduce<{ order: number[]; bounds: number[] }>(
      (all, { order, bounds }) => ({
        order: [...all.order, ...Array.from(order, (unit) => unit + all.order.length)],
        bounds: [...all.bounds, ...Array.from(bounds.subarray(1), (bound) => bound + 4 * all.order.length)],
      }),
      { order: [], bounds: [0] },
    );
    expect(joined.order).toEqual(await integers(stored, 'window_index'));
    expect(joined.bounds).toEqual([...(await stored.readI32('cu_window_seqlens'))]);
    for (const { order, inverse } of orders)
      expect(Array.from(inverse, (place) => order[place])).toEqual([...order.keys()]);
  });
});

function json<T>(path: string): T {
  return JSON.parse(readFileSync(join(folder, path), 'utf8'));
}

function gridOf([, h, w]: readonly number[]): Grid {
  return { h, w };
}

async function integers(stored: Tensors, name: string): Promise<number[]> {
  return Array.from(await stored.readI64(name), Number);
}

/** Largest difference of some rows of `own` from the stored ones. */
function farthest(own: Float32Array, stored: Float32Array, rows: readonly number[]): number {
  const width = stored.length / rows.length;
  let most = 0;
  rows.forEach((row, i) => {
    for (let k = 0; k < width; k++) most = Math.max(most, Math.abs(own[row * width + k] - stored[i * width + k]));
  });
  return most;
}
