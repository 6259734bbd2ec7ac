import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { adamState, adamw, clipScale, gradientNorm, type AdamOptions } from '../../src/tensor/adamw.js';
import { layoutOf } from '../../src/tensor/layout.js';

const layout = layoutOf([
  { name: 'weight', sizes: [2] },
  { name: 'norm', sizes: [2] },
]);

const start = [1, -2, 0.5, 4];
/** Three gradients of each of the four parameters. */
const gradients = [
  [0.5, 0, 1, -8],
  [-0.25, 1e-4, 1, 0],
  [2, 3, 1, 0.125],
];

function stepped(options: AdamOptions): {
  values: Float32Array;
  first: Float32Array;
  second: Float32Array;
  step: number;
} {
  const values = Float32Array.from(start);
  const state = adamState(layout);
  for (const gradient of gradients) adamw(layout, values, Float32Array.from(gradient), state, options);
  return { values, ...state };
}

// python 3, each parameter by itself in float64, for t, g in enumerate(gradients, 1):
// p -= lr*wd*p; m = b1*m + (1-b1)*g; v = b2*v + (1-b2)*g**2; p -= lr/(1-b1**t) * m/(sqrt(v)/sqrt(1-b2**t) + eps)
const decayed = [0.803531067, -2.13221803, 0.198801402, 4.20554126];
const undecayed = [0.806301535, -2.13828644, 0.200000003, 4.21779616];
const first = [0.218, 0.300009, 0.271, -0.6355];
const second = [0.00431193775, 0.00900000001, 0.002997001, 0.063887689];

function expectClose(got: Float32Array, expected: readonly number[]): void {
  expect(got.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) expect(Math.abs(got[i] / value - 1)).toBeLessThan(3e-7);
}

describe('adamw', () => {
  it('agrees with python on three steps', () => {
    const got = stepped({ learningRate: 0.1, weightDecay: 0.01 });
    expectClose(got.values, decayed);
    expectClose(got.first, first);
    expectClose(got.second, second);
    expect(got.step).toBe(3);
  });
  it('decays nothing unless asked to', () => {
    expectClose(stepped({ learningRate: 0.1 }).values, undecayed);
  });
  it('decays the entries that it is told to', () => {
    const got = stepped({ learningRate: 0.1, weightDecay: 0.01, decays: (entry) => entry === 'weight' });
    expectClose(got.values, [...decayed.slice(0, 2), ...undecayed.slice(2)]);
  });
  it('scales the gradient before anything else', () => {
    const values = Float32Array.from(start);
    const state = adamState(layout);
    for (const gradient of gradients)
      adamw(
        layout,
        values,
        Float32Array.from(gradient, (g) => 4 * g),
        state,
        { learningRate: 0.1, weightDecay: 0.01, gradientScale: 0.25 },
      );
    expect(values).toEqual(stepped({ learningRate: 0.1, weightDecay: 0.01 }).values);
  });
  it('moves by the learning rate at first, whatever the size of the gradient', () => {
    const values = Float32Array.from(start);
    adamw(layout, values, Float32Array.of(1e-3, -1e-3, 1e3, -1e3), adamState(layout), {
      learningRate: 0.125,
      epsilon: 0,
    });
    expectClose(values, [0.875, -1.875, 0.375, 4.125]);
  });
  it('leaves a parameter without a gradient to the decay alone', () => {
    const values = Float32Array.from(start);
    adamw(layout, values, new Float32Array(4), adamState(layout), { learningRate: 0.5, weightDecay: 0.5 });
    expect([...values]).toEqual([0.75, -1.5, 0.375, 3]);
  });
  it('refuses an array of another length, and changes nothing', () => {
    const values = Float32Array.from(start);
    const state = adamState(layout);
    expect(() => adamw(layout, values, new Float32Array(3), state, { learningRate: 1, weightDecay: 1 })).toThrow(
      'adamw: expected gradient as long as the layout, 4; got 3',
    );
    expect([...values, state.step]).toEqual([...start, 0]);
  });
});

describe('gradientNorm', () => {
  it('is the Euclidean length', () => expect(gradientNorm(Float32Array.of(3, 0, -4))).toBe(5));
  it('adds small squares to large ones', () => {
    // 4096² = 2^24: adding 1 to it in float32 changes nothing.
    expect(gradientNorm(Float32Array.from({ length: 1001 }, (_, i) => (i === 0 ? 4096 : 1)))).toBe(
      Math.sqrt(2 ** 24 + 1000),
    );
  });
  it('of nothing is 0', () => expect(gradientNorm(new Float32Array(0))).toBe(0));
});

describe('clipScale', () => {
  it('leaves a short gradient alone', () => expect(clipScale(0.5, 1)).toBe(1));
  it('brings a long one to the limit', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1.1, max: 1e6, noNaN: true }),
        (norm) => Math.abs(norm * clipScale(norm, 1) - 1) < 1e-5,
      ),
    );
  });
  it('adds 1e-6 to the norm, as torch does', () => expect(clipScale(2, 1)).toBe(1 / (2 + 1e-6)));
});
