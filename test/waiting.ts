import { setImmediate, setTimeout } from 'node:timers/promises';

/** Looks again and again until it is so. What never comes is ended by the test's own limit alone. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await setTimeout(1);
}

/** Lets everything else go on for so many turns of the event loop. */
export async function later(turns: number): Promise<void> {
  for (let i = 0; i < turns; i++) await setImmediate();
}

/** What waits until the test lets it through. */
export interface Gate {
  readonly passed: Promise<void>;
  readonly open: () => void;
}

export function gate(): Gate {
  let open = (): void => {};
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
}

/** The first one to pass waits until a second one has; later ones don't wait. */
export function overtaken(): () => Promise<void> {
  const second = gate();
  let passing = 0;
  return async () => {
    if (++passing === 1) await second.passed;
    else second.open();
  };
}
