/** Ctrl-C, what supervisors send, and a terminal that was closed. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Calls `stop` at the first of these signals and leaves the next to the system, which ends the process at once, SIGINT
 * with status 130:
 * `process.exit` in the middle of a native run would abort instead.
 */
export function onInterrupt(stop: () => void): () => void {
  const first = (signal: NodeJS.Signals): void => {
    // Node gives the terminal its settings back as it ends, and aborts where there is none.
    if (signal === 'SIGHUP') process.once('exit', () => process.kill(process.pid, signal));
    console.error('finishing what is in flight; once more ends at once');
    release();
    stop();
  };
  const release = (): void => {
    for (const signal of SIGNALS) process.off(signal, first);
  };
  for (const signal of SIGNALS) process.on(signal, first);
  return release;
}
