import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { clock, type StageMetrics } from '../../../src/pipelines/run/stage-metrics.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('clock', () => {
  it('counts from the start, and from where an earlier run had come to', () => {
    const time = clock({ elapsed: 10, seconds: { load: 4, gone: 9 } });
    vi.advanceTimersByTime(5000);
    time.start([
      { stage: 'load', busy: () => 0.5 },
      { stage: 'mask', busy: () => 0.1234 },
    ] as StageMetrics[]);
    vi.advanceTimersByTime(1500);
    expect(time.elapsed()).toBe(1.5);
    expect(time.spent()).toEqual({ elapsed: 11.5, seconds: { load: 4.5, mask: 0.123 } });
  });
});
