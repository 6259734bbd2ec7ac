/** Counts rows through a pipeline, so that a step can wait until all that are under way have come to it. */
export interface Gate {
  /** A row left the source. */
  readonly emitted: () => void;
  /** A row came to the stage that waits. */
  readonly arrived: () => void;
  /** A row left the pipeline. */
  readonly left: () => void;
  /** The source has no more rows. */
  readonly ended: () => void;
  /** Nothing waits any longer. */
  readonly open: () => void;
  /**
   * Resolves once as many rows are under way as may be, or the source has ended, and every one of them has come. So what
   * happens then, happens between the same rows every time.
   */
  readonly settled: () => Promise<void>;
}

/** @param window rows that may be under way. */
export function gate(window: number): Gate {
  let [emitted, arrived, left, ended] = [0, 0, 0, false];
  let waiting: (() => void)[] = [];
  const settled = (): boolean => arrived === emitted && (ended || emitted - left >= window);
  const look = (): void => {
    if (!settled()) return;
    const all = waiting;
    waiting = [];
    for (const go of all) go();
  };
  let opened = false;
  return {
    emitted: () => void emitted++,
    arrived() {
      arrived++;
      look();
    },
    left: () => void left++,
    ended() {
      ended = true;
      look();
    },
    open() {
      opened = true;
      for (const go of waiting) go();
    },
    async settled() {
      if (opened || settled()) return;
      await new Promise<void>((go) => void waiting.push(go));
    },
  };
}
