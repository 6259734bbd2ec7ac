import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import sharp, { type Sharp } from 'sharp';
import { describe, expect, it } from 'vitest';

import { encodeMask } from '../../../src/io/mask.js';
import { scoreItem, type ScoreJob } from '../../../src/operators/scoring/score-item.js';
import { ascii } from '../../ascii.js';
import { folder } from '../../pipelines/files.js';

const place = folder().path;
const truth = '.... .##. .##. ....';

/** A picture of a drawing, `on` for `#`. */
async function stored(
  name: string,
  drawing: string,
  on = 255,
  change: (picture: Sharp) => Sharp = (picture) => picture,
): Promise<{ path: string }> {
  const { bits, width, height } = ascii(drawing);
  const path = join(place, name);
  writeFileSync(
    path,
    await change(
      sharp(
        bits.map((bit) => bit * on),
        { raw: { width, height, channels: 1 } },
      ),
    )
      .png()
      .toBuffer(),
  );
  return { path };
}

const iou = async (job: Omit<ScoreJob, 'kind'>): Promise<number> => {
  const judged = await scoreItem({ kind: 'foreground', ...job });
  return judged.kind === 'foreground' ? judged.foreground.values['iou/binary'] : NaN;
};

describe('scoreItem', () => {
  it.each([
    ['gray', (picture: Sharp) => picture],
    ['16-bit', (picture: Sharp) => picture.toColourspace('grey16')],
    ['palette', (picture: Sharp) => picture.toColourspace('srgb').png({ palette: true, colours: 2 })],
    ['RGBA', (picture: Sharp) => picture.toColourspace('srgb').ensureAlpha(0.5)],
  ])('reads a %s mask as what it shows', async (kind, change) => {
    const both = {
      predicted: await stored(`p-${kind}.png`, truth, 255, change),
      truth: await stored(`t-${kind}.png`, truth, 255, change),
    };
    expect(await iou(both)).toBe(1);
  });

  it('brings a picture of another size to its truth by the nearest pixels', async () => {
    expect(
      await iou({
        predicted: await stored('small.png', '#. ..'),
        truth: await stored('large.png', '##.. ##.. .... ....'),
      }),
    ).toBe(1);
  });

  it('stretches a mask of a frame with grey edges, as a stored prediction has them', async () => {
    const { bits, ...frame } = ascii('#. ..');
    const judged = await scoreItem({
      kind: 'foreground',
      predicted: { mask: encodeMask(bits, frame), stored: { width: 4, height: 4 } },
      truth: { mask: encodeMask(ascii('##.. ##.. .... ....').bits, { width: 4, height: 4 }) },
    });
    expect(judged.kind === 'foreground' && judged.foreground.values.mae).toBeGreaterThan(0);
  });

  it('counts a missing answer as an empty mask, and leaves out what is ignored', async () => {
    const { bits, ...size } = ascii(truth);
    const mask = encodeMask(bits, size);
    expect(await iou({ predicted: null, truth: { mask } })).toBe(0);
    const all = encodeMask(
      bits.map(() => 1),
      size,
    );
    const judged = await scoreItem({
      kind: 'referring',
      predicted: { mask: all, stored: size },
      truth: { mask },
      ignore: encodeMask(
        bits.map((bit) => 1 - bit),
        size,
      ),
    });
    expect(judged).toEqual({
      kind: 'referring',
      sample: {
        whole: { hits: 4, falseAlarms: 12, objectPixels: 4, pixels: 16 },
        heeded: { hits: 4, falseAlarms: 0, objectPixels: 4, pixels: 4 },
      },
    });
  });

  it('refuses a truth that nobody could hit, and what can’t be read', async () => {
    await expect(iou({ predicted: null, truth: await stored('ones.png', truth, 1) })).rejects.toThrow(
      'expected object pixels over 128; got levels 0, 1; way out: store the object as 255',
    );
    const path = join(place, 'cut.png');
    writeFileSync(
      path,
      (
        await sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } })
          .png()
          .toBuffer()
      ).subarray(0, 60),
    );
    await expect(iou({ predicted: { path }, truth: await stored('t.png', truth) })).rejects.toThrow(
      'cut.png  image: expected a picture',
    );
  });
});
