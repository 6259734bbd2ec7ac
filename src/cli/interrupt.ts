import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { isatty } from 'node:tty';

import { tell } from './print.js';

/** Ctrl-C, a supervisor's SIGTERM, and a closed terminal. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Calls `stop` at the first of these signals. The next SIGINT or SIGTERM ends the process at once, by SIGINT and so with
 * status 130: `process.exit` in the middle of a native run would abort instead. A terminal that is closed may send
 * SIGHUP more than once; only its first counts.
 */
export function onInterrupt(stop: () => void): () => void {
  let [stopped, hungUp] = [false, false];
  const terminals = [0, 1, 2].filter((stream) => isatty(stream));
  const signalled = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGHUP') {
      if (!hungUp) process.once('exit', () => leave(terminals));
      hungUp = true;
      if (stopped) return;
    }
    if (stopped) {
      release();
      process.kill(process.pid, 'SIGINT');
      return;
    }
    stopped = true;
    tell('finishing what is in flight; once more ends at once');
    stop();
  };
  const release = (): void => {
    for (const signal of SIGNALS) process.off(signal, signalled);
  };
  for (const signal of SIGNALS) process.on(signal, signalled);
  return release;
}

/** Node.js restores the settings of terminals as it ends, and aborts where they are no more. */
function leave(terminals: readonly number[]): void {
  for (const stream of terminals) {
    closeSync(stream);
    // Takes the lowest free number, which is this one's.
    openSync(devNull, 'r+');
  }
}
