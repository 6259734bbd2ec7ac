/** Ctrl-C, a supervisor's SIGTERM, and a closed terminal. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Calls `stop` at the first of these signals. The next one ends the process at once, SIGINT with status 130:
 * `process.exit` in the middle of a native run would abort instead.
 */
export function onInterrupt(stop: () => void): () => void {
  const first = (signal: NodeJS.Signals): void => {
    // Node restores the terminal's settings as it ends, and aborts without a terminal.
    if (signal === 'SIGHUP') process.once('exit', () => process.kill(process.pid, signal));
    // First, for who reads the next line may send the next signal.
    release();
    console.error('finishing what is in flight; once more ends at once');
    stop();
  };
  const release = (): void => {
    for (const signal of SIGNALS) process.off(signal, first);
  };
  for (const signal of SIGNALS) process.on(signal, first);
  return release;
}
