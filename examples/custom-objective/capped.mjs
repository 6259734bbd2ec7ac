import { compose, ops } from 'segr1';

const { minimum, mul, neg } = ops;

/** The ratio counts up to 2, above which its gradient stops; every token of the step weighs the same. */
export const objective = compose({
  name: 'capped 2',
  average: 'token',
  surrogate: (ratio, { advantages }) => ({ loss: neg(mul(minimum(ratio, 2), advantages)), reports: { ratio } }),
});
