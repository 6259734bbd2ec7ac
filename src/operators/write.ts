import { concatAll, concatMap, finalize, materialize, type ObservableNotification, type OperatorFunction } from 'rxjs';

import { messageOf } from '../errors.js';
import type { RowSink } from '../io/arrow/shard.js';
import type { Row } from '../records.js';

export { WriteOptions, type RowSink } from '../io/arrow/shard.js';

/**
 * Writes each row to the sink, marked ones too, one at a time in order of arrival, and passes it on once it is written.
 * The operator owns the sink: it is closed before completion or an error is passed on, after all earlier rows.
 * Unsubscribing closes it too, but cannot wait; to wait, call `close` again.
 */
export function write<T extends Row>(sink: RowSink): OperatorFunction<T, T> {
  return (source) =>
    source.pipe(
      materialize(),
      concatMap((event) => handled<T>(sink, event)),
      concatAll(),
      // After unsubscribing, a failure to close is reported to the next caller of `close`.
      finalize(() => void sink.close().catch(() => undefined)),
    );
}

/** The row to pass on, if there is one. */
async function handled<T extends Row>(sink: RowSink, event: ObservableNotification<T>): Promise<T[]> {
  if (event.kind === 'N') {
    await sink.append(event.value).catch((error: unknown) => closedAfter(sink, error));
    return [event.value];
  }
  if (event.kind === 'E') return closedAfter(sink, event.error);
  await sink.close();
  return [];
}

/** Closes the sink and throws `error`, with the error of closing if it is another one. */
async function closedAfter(sink: RowSink, error: unknown): Promise<never> {
  try {
    await sink.close();
  } catch (second) {
    if (second !== error)
      throw new AggregateError([error, second], `${messageOf(error)}; then closing failed: ${messageOf(second)}`);
  }
  throw error;
}
