import { concatAll, concatMap, finalize, materialize, type ObservableNotification, type OperatorFunction } from 'rxjs';

import { messageOf } from '../errors.js';
import type { RowSink } from '../io/arrow/shard.js';
import type { Row } from '../records.js';

export { WriteOptions, type RowSink } from '../io/arrow/shard.js';

/**
 * Hands each row to the sink, marked ones too, one at a time in the order of arrival, and passes it on once the sink
 * has it.
 *
 * The sink is the operator's from here on: it is closed before completion or an error is told, after the rows that came
 * before either. Unsubscribing closes it as well but cannot wait; whoever needs to calls `close` again and waits there.
 */
export function write<T extends Row>(sink: RowSink): OperatorFunction<T, T> {
  return (source) =>
    source.pipe(
      materialize(),
      concatMap((event) => handled<T>(sink, event)),
      concatAll(),
      // Where nobody is left to be told, a failure to close is told to the next one who calls it.
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

/** Closes the sink and throws `error`; with what went wrong in closing, if that is something else. */
async function closedAfter(sink: RowSink, error: unknown): Promise<never> {
  try {
    await sink.close();
  } catch (second) {
    if (second !== error)
      throw new AggregateError([error, second], `${messageOf(error)}; then closing failed: ${messageOf(second)}`);
  }
  throw error;
}
