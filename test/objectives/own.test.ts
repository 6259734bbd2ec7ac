import { describe, expect, it } from 'vitest';

import { compose } from '../../src/objectives/compose.js';
import { checkedObjective } from '../../src/objectives/own.js';
import { grpo } from '../../src/objectives/policy-gradient.js';
import { cast, mul, neg } from '../../src/tensor/ops.js';

const own = compose({
  name: 'mine',
  average: 'token',
  surrogate: (ratio, { advantages }) => ({ loss: neg(mul(ratio, advantages)), reports: {} }),
});

describe('checkedObjective', () => {
  it.each([
    own,
    grpo(0.1, { low: 0.2, high: 0.2, correction: { level: 'token', beyond: 'mask', max: 3 }, topEntropy: 0.5 }),
    {
      ...own,
      trace: ({ advantages }: { advantages: Parameters<typeof neg>[0] }) => ({ loss: neg(advantages), reports: {} }),
    },
  ])('takes one that gives a loss a token, or a completion: $name', (objective) =>
    expect(checkedObjective(objective)).toBe(objective),
  );

  it.each([
    [undefined, 'objective: expected an Objective, such as compose makes; got nothing'],
    [{ ...own, name: '' }, 'objective: expected a name; got ""'],
    [{ ...own, kl: -1 }, 'objective "mine"  kl: expected a number from 0; got -1'],
    [{ ...own, corrects: 1 }, 'objective "mine"  corrects: expected true or false; got 1'],
    [{ ...own, average: 'row' }, 'objective "mine"  average: expected token, sequence or { tokens }; got "row"'],
    [{ ...own, trace: 7 }, 'objective "mine"  trace: expected a function of the terms; got 7'],
    [
      { ...own, trace: () => undefined },
      'objective "mine"  trace: expected { loss, reports } with a loss a token; got nothing',
    ],
    [
      { ...own, trace: () => ({ reports: {} }) },
      'objective "mine"  trace: expected { loss, reports } with a loss a token; got a loss of nothing',
    ],
    [
      { ...own, trace: () => ({ loss: 1, reports: {} }) },
      'objective "mine"  trace: expected { loss, reports } with a loss a token; got a loss of 1',
    ],
    [
      {
        ...own,
        trace: () => {
          throw new TypeError('x is not a function');
        },
      },
      'objective "mine"  trace: expected { loss, reports } with a loss a token; got x is not a function',
    ],
    [
      { ...own, trace: ({ mask }: { mask: Parameters<typeof neg>[0] }) => ({ loss: cast(mask, 'bool'), reports: {} }) },
      'objective "mine"  loss: expected float32 [prompt, sample, token]; got bool [prompt, sample, token]',
    ],
  ])('refuses %j by its name', (value, message) => expect(() => checkedObjective(value)).toThrow(message));
});
