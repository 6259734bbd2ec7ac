/**
 * Calls `stop` at the first SIGINT or SIGTERM and leaves the next to the system, which ends the process at once, SIGINT with status 130:
 * `process.exit` in the middle of a native run would abort instead.
 */
export function onInterrupt(stop: () => void): () => void {
  const first = (): void => {
    console.error('finishing what is in flight; once more ends at once');
    release();
    stop();
  };
  const release = (): void => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, first);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, first);
  return release;
}
