import { DataError } from '../../errors.js';
import type { Row, Skipped } from '../../records.js';
import type { Checkpoints } from './checkpointer.js';
import type { Clock } from './clock.js';
import type { Ledger } from './row-ledger.js';
import type { Pipeline } from '../config/read.js';
import type { RunListener } from '../events.js';
import type { Cancellation } from './cancellation.js';

/** Longest silence about queues while rows go by, ms. */
const QUEUE_EVERY = 1000;

/** Books rows as they leave, tells of them, and stops the source once too many were marked for a fault of theirs. */
export function arrivals(
  pipeline: Pipeline,
  book: Ledger,
  stop: Cancellation,
  saving: Checkpoints,
  time: Clock,
  watch: RunListener,
) {
  const chosen = ({ stage: name, reason }: Skipped): boolean =>
    pipeline.stages.find((one) => one.name === name)?.stage.filters?.(reason) ?? false;
  const { tolerate } = pipeline.settings;
  let fault: DataError | undefined;
  let told = performance.now();
  const take = (row: Row): void => {
    book.leave(row);
    watch({
      kind: 'row',
      id: row.id,
      rowsIn: book.rowsIn,
      rowsOut: book.rowsOut,
      marked: book.marks,
      ...(row.skipped && { skipped: row.skipped }),
    });
    if (row.skipped && !chosen(row.skipped) && ++book.faults > tolerate && !fault) {
      const more = `expected at most ${tolerate} rows that cannot be used; got one more (${row.skipped.reason}); way out: tolerate: ${tolerate + 1}`;
      fault = new DataError(`${row.id}  ${whereFrom(row)}  ${row.skipped.stage}: ${more}`);
      stop.because('faults');
    }
    saving.left(row.id);
    if (performance.now() - told < QUEUE_EVERY) return;
    told = performance.now();
    watch({
      kind: 'queue',
      tokens: book.tokens,
      depths: Object.fromEntries(time.gauges.map((gauge) => [gauge.stage, gauge.rowsIn - gauge.rowsOut])),
    });
  };
  return { take, fault: () => fault };
}

function whereFrom({ image }: Row): string {
  return 'path' in image ? image.path : `scene ${image.scene.kind}/${image.scene.seed}/${image.scene.index}`;
}
