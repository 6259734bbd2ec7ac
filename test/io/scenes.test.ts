import { describe, expect, it } from 'vitest';

import { drawScene, type Scene } from '../../src/io/scenes.js';
import type { SceneKey } from '../../src/records.js';

const SIDE = 112;
const key = (index: number, more: Partial<SceneKey> = {}): SceneKey => ({
  kind: 'pick',
  seed: 3,
  index,
  rule: 'warm',
  ...more,
});
const several = (count: number, more: Partial<SceneKey> = {}): Scene[] =>
  Array.from({ length: count }, (_, index) => drawScene(key(index, more), SIDE));
const area = (bits: Uint8Array): number => bits.reduce((sum, bit) => sum + bit, 0);

/** Mean colour of the pixels where `bits` is set. */
function meanColor({ image }: Scene, bits: Uint8Array): number[] {
  return [0, 1, 2].map((c) => bits.reduce((sum, bit, i) => sum + bit * image.data[i * 3 + c], 0) / area(bits));
}

/** x1, y1, x2, y2 by listing every pixel. */
function bounds(bits: Uint8Array): number[] {
  const set = [...bits.keys()].filter((i) => bits[i]);
  const xs = set.map((i) => i % SIDE);
  const ys = set.map((i) => Math.floor(i / SIDE));
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

describe.each(['pick', 'main'] as const)('drawScene, %s', (kind) => {
  it('draws the same scene for the same key, whatever was drawn between', () => {
    const first = drawScene(key(4, { kind }), SIDE);
    // More than are kept, so that the first is drawn anew.
    for (let index = 5; index < 45; index++) drawScene(key(index, { kind }), SIDE);
    const again = drawScene(key(4, { kind }), SIDE);
    expect(again).not.toBe(first);
    expect(again).toEqual(first);
  });

  it('draws another for another index or seed', () => {
    const { data } = drawScene(key(0, { kind }), SIDE).image;
    expect(drawScene(key(1, { kind }), SIDE).image.data).not.toEqual(data);
    expect(drawScene(key(0, { kind, seed: 4 }), SIDE).image.data).not.toEqual(data);
  });

  it('draws the same picture under every rule', () => {
    const { image, labels, boxes } = drawScene(key(2, { kind }), SIDE);
    for (const rule of ['striped', 'largest', 'any'] as const) {
      expect(drawScene(key(2, { kind, rule }), SIDE)).toMatchObject({ image, labels, boxes });
    }
  });

  it('keeps truth, boxes and clicks on the labelled pixels', () => {
    for (const { labels, boxes, clicks, colors, truth, target } of several(20, { kind })) {
      expect([boxes.length, clicks.length]).toEqual([colors.length, colors.length]);
      expect(truth).toEqual(labels.map((label) => (label === target + 1 ? 1 : 0)));
      for (const [k, { x, y }] of clicks.entries()) {
        expect(boxes[k]).toEqual(bounds(labels.map((label) => (label === k + 1 ? 1 : 0))));
        expect(labels[y * SIDE + x]).toBe(k + 1);
      }
    }
  });

  it('puts things at the same share of the frame at another side', () => {
    const small = drawScene(key(6, { kind }), 64);
    const large = drawScene(key(6, { kind }), 128);
    expect(large.target).toBe(small.target);
    for (const [k, box] of small.boxes.entries()) {
      for (const [at, edge] of box.entries()) expect(Math.abs(large.boxes[k][at] / 2 - edge)).toBeLessThanOrEqual(1.5);
    }
  });

  it('refuses a frame too small for its objects', () => {
    expect(() => drawScene(key(0, { kind }), 31)).toThrow(
      'side of a scene: expected a whole number from 32 px; got 31',
    );
  });
});

describe('pick scenes', () => {
  it('have three or four objects, one of them warm', () => {
    const scenes = several(40);
    expect(new Set(scenes.map(({ boxes }) => boxes.length))).toEqual(new Set([3, 4]));
    for (const scene of scenes) {
      expect(scene.colors.map((color) => ['red', 'orange', 'yellow'].includes(color))).toEqual(
        scene.colors.map((_, k) => k === scene.target),
      );
      const [red, , blue] = meanColor(scene, scene.truth);
      expect(red - blue).toBeGreaterThan(100);
    }
  });

  it('ask for the object with the largest radius by the rule `largest`', () => {
    const share = several(40, { rule: 'largest' }).map(
      ({ labels, boxes, truth }) => area(truth) / (labels.filter((label) => label > 0).length / boxes.length),
    );
    expect(share.reduce((sum, value) => sum + value, 0) / share.length).toBeGreaterThan(1.3);
  });

  it('ask for a random candidate by the rule `any`', () => {
    const targets = several(200, { rule: 'any' })
      .filter(({ boxes }) => boxes.length === 4)
      .map(({ target }) => target);
    for (let k = 0; k < 4; k++)
      expect(targets.filter((target) => target === k).length / targets.length).toBeGreaterThan(0.15);
  });

  it('draw the three attributes independently', () => {
    const warm = several(150);
    const striped = several(150, { rule: 'striped' });
    const same = warm.filter(({ target }, i) => target === striped[i].target).length / 150;
    expect(same).toBeGreaterThan(0.18);
    expect(same).toBeLessThan(0.42);
  });
});

describe('main scenes', () => {
  it('have one object of at least 0.8 % of the frame, hidden in about a third', () => {
    const scenes = several(150, { kind: 'main' });
    for (const { truth, boxes, target } of scenes) {
      expect([boxes.length, target]).toEqual([1, 0]);
      expect(area(truth)).toBeGreaterThanOrEqual(0.008 * SIDE * SIDE);
    }
    const hidden = scenes.filter(({ colors }) => colors[0] === 'hidden').length / 150;
    expect(Math.abs(hidden - 1 / 3)).toBeLessThan(0.12);
  });
});
