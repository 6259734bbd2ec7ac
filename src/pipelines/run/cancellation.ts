import type { Summary } from '../events.js';

export type Stopped = NonNullable<Summary['stopped']>;

/** One signal for every reason to stop the source; the first reason stays. */
export interface Cancellation {
  readonly signal: AbortSignal;
  because(reason: Stopped): void;
  reason(): Stopped | undefined;
  /** Whether the run ends after the current step and its checkpoint. */
  ends(): boolean;
  /** Called after each step: a run that is to end with it ends now. */
  stepped(): void;
  release(): void;
}

/**
 * Listens to a signal from outside until it is released.
 *
 * @param learns whether the run takes steps; on cancellation the current one is finished first.
 */
export function cancellation(learns: () => boolean, outer?: AbortSignal): Cancellation {
  const controller = new AbortController();
  let first: Stopped | undefined;
  // A stage that reports a step must not see its source end in the middle of that call.
  const abort = (): void => queueMicrotask(() => controller.abort());
  const because = (reason: Stopped): void => {
    first ??= reason;
    abort();
  };
  const cancel = (): void => {
    first ??= 'cancelled';
    if (!learns()) abort();
  };
  if (outer?.aborted) because('cancelled');
  outer?.addEventListener('abort', cancel);
  return {
    signal: controller.signal,
    because,
    reason: () => first,
    ends: () => first === 'cancelled' || first === 'steps',
    stepped() {
      if (first) abort();
    },
    release: () => outer?.removeEventListener('abort', cancel),
  };
}
