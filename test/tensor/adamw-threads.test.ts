import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';

import { adamState, adamw } from '../../src/tensor/adamw.js';
import { openStepper } from '../../src/tensor/adamw-threads.js';
import { layoutOf } from '../../src/tensor/layout.js';

const shared = (values: readonly number[]): Float32Array => {
  const array = new Float32Array(new SharedArrayBuffer(4 * values.length));
  array.set(values);
  return array;
};

const steppers = [1, 2, 3].map((threads) => openStepper(threads, 4));
afterAll(() => Promise.all(steppers.map((stepper) => stepper.release())));

describe('openStepper', () => {
  it('steps to the bit as one thread does, whatever their number', async () => {
    const entry = fc.record({ size: fc.integer({ min: 1, max: 7 }), decays: fc.boolean() });
    const number = fc.float({ min: -4, max: 4, noNaN: true });
    await fc.assert(
      fc.asyncProperty(
        fc.array(entry, { minLength: 1, maxLength: 6 }),
        fc.infiniteStream(number),
        async (entries, numbers) => {
          const layout = layoutOf(entries.map(({ size }, i) => ({ name: `${i}`, sizes: [size] })));
          const draw = (): number[] => Array.from({ length: layout.length }, () => numbers.next().value as number);
          const [start, gradients] = [draw(), [draw(), draw()]];
          const options = {
            learningRate: 0.1,
            weightDecay: 0.1,
            gradientScale: 0.5,
            decays: (name: string) => entries[Number(name)]?.decays === true,
          };
          const plain = { values: Float32Array.from(start), state: adamState(layout) };
          for (const gradient of gradients)
            adamw(layout, plain.values, Float32Array.from(gradient), plain.state, options);
          for (const stepper of steppers) {
            const own = { values: shared(start), state: adamState(layout) };
            for (const gradient of gradients)
              await stepper.step(layout, own.values, Float32Array.from(gradient), own.state, options);
            expect(own).toEqual(plain);
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  it.each([0, 7])('tells an overflow of element %d from a step that is fine', async (at) => {
    const layout = layoutOf([{ name: 'w', sizes: [8] }]);
    for (const stepper of steppers) {
      const step = (learningRate: number): Promise<boolean> =>
        stepper.step(
          layout,
          shared(Array(8).fill(1)),
          Float32Array.from({ length: 8 }, (_, i) => (i === at ? 1 : 0)),
          adamState(layout),
          { learningRate },
        );
      expect([await step(1e38), await step(1e39)]).toEqual([true, false]);
    }
  });

  it('changes what lies beyond 4 GiB of a buffer, and nothing else', async () => {
    // A clone of a view keeps 32 bits of its place, in bytes. Pages that are not written take no memory.
    const buffer = new SharedArrayBuffer(2 ** 32 + 128);
    const part = (from: number, array: readonly number[]): Float32Array => {
      const own = new Float32Array(buffer, 2 ** 32 + from, array.length);
      own.set(array);
      return own;
    };
    const [values, zeros] = [[1, -2, 3, -4, 5, -6], Array(6).fill(0) as number[]];
    const layout = layoutOf([{ name: 'w', sizes: [6] }]);
    const far = { first: part(32, zeros), second: part(64, zeros), step: 0 };
    const moved = part(0, values);
    await steppers[2]?.step(layout, moved, part(96, values), far, { learningRate: 0.1 });
    const plain = { values: Float32Array.from(values), state: adamState(layout) };
    adamw(layout, plain.values, Float32Array.from(values), plain.state, { learningRate: 0.1 });
    expect([moved, far.first, far.second]).toEqual([plain.values, plain.state.first, plain.state.second]);
    expect([...new Float32Array(buffer, 0, 32)].filter((value) => value !== 0)).toEqual([]);
  });

  it('refuses a gradient of another length, as one thread does', async () => {
    const layout = layoutOf([{ name: 'w', sizes: [8] }]);
    await expect(
      steppers[1]?.step(layout, shared(Array(8).fill(1)), new Float32Array(7), adamState(layout), { learningRate: 1 }),
    ).rejects.toThrow('adamw: expected gradient as long as the layout, 8; got 7');
  });
});
