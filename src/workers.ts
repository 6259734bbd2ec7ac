import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parentPort, Worker, type Transferable } from 'node:worker_threads';

import { messageOf, OutOfMemoryError } from './errors.js';

/** Jobs in worker threads: `call` queues, one job runs in a worker at a time, `release` waits for running jobs. */
export interface Workers<Job, Answer> {
  readonly size: number;
  /**
   * Runs a job on the next free worker; rejects with the worker's own message, and as `OutOfMemoryError` where it was
   * one.
   */
  call(job: Job, transfer?: readonly Transferable[]): Promise<Answer>;
  /** Runs a job once on every worker, in turn with what is queued there. */
  everywhere(job: Job): Promise<Answer[]>;
  /** As `everywhere`, with a separate job for each worker and its transferables. */
  each(jobs: (worker: number) => { readonly job: Job; readonly transfer: readonly Transferable[] }): Promise<Answer[]>;
  /** Waits for running jobs, ends every thread; queued and later calls reject. Safe to call twice. */
  release(): Promise<void>;
}

type Reply<Answer> = { readonly id: number; readonly answer: Answer } | { readonly id: number; readonly error: Fault };

/** An error as a message, since its class would be lost. */
interface Fault {
  readonly message: string;
  /** Set where memory ran out. */
  readonly outOfMemory?: { readonly bytes: number | undefined };
}

interface Pending<Job, Answer> {
  readonly job: Job;
  readonly transfer: readonly Transferable[];
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

interface Seat<Job, Answer> {
  readonly worker: Worker;
  readonly own: Pending<Job, Answer>[];
  running: Pending<Job, Answer> | undefined;
}

/**
 * Starts `size` threads of a module that calls `serve`.
 *
 * Threads are never terminated in the middle of a job: ending a thread inside a native run takes the process down.
 * Idle threads do not keep the process alive.
 *
 * @param module URL of the compiled worker, `new URL('./x-worker.js', import.meta.url)`.
 * @param data handed to each worker as `workerData`.
 */
export function workers<Job, Answer>(module: URL, size: number, data?: unknown): Workers<Job, Answer> {
  const queue: Pending<Job, Answer>[] = [];
  /** Why further jobs are rejected. */
  let closed: Error | undefined;
  let released: Promise<void> | undefined;
  let drained: (() => void) | undefined;

  const seats = Array.from({ length: size }, (): Seat<Job, Answer> => {
    const worker = new Worker(compiled(module), { workerData: data });
    worker.unref();
    const seat: Seat<Job, Answer> = { worker, own: [], running: undefined };
    worker.on('message', (reply: Reply<Answer>) => {
      const done = seat.running;
      seat.running = undefined;
      worker.unref();
      if (done) 'error' in reply ? done.reject(errorOf(reply.error)) : done.resolve(reply.answer);
      advance();
    });
    worker.on('messageerror', (error) => fail(seat, error));
    worker.on('error', (error) => fail(seat, error instanceof Error ? error : new Error(messageOf(error))));
    worker.on('exit', (code) =>
      fail(seat, new Error(`a worker thread ended: expected it to go on; got exit code ${code}`)),
    );
    return seat;
  });

  function close(reason: Error): void {
    if (closed) return;
    closed = reason;
    for (const waiting of [...queue.splice(0), ...seats.flatMap((seat) => seat.own.splice(0))]) waiting.reject(reason);
  }

  function fail(seat: Seat<Job, Answer>, error: Error): void {
    seat.running?.reject(error);
    seat.running = undefined;
    close(error);
    advance();
  }

  function advance(): void {
    for (const seat of seats) {
      while (!seat.running) {
        const next = seat.own.shift() ?? queue.shift();
        if (!next) break;
        begin(seat, next);
      }
    }
    if (seats.every((seat) => !seat.running)) drained?.();
  }

  function begin(seat: Seat<Job, Answer>, next: Pending<Job, Answer>): void {
    try {
      seat.worker.postMessage({ id: 0, job: next.job }, next.transfer);
    } catch (error) {
      // A job that cannot be cloned is its caller's mistake: the thread never saw it.
      next.reject(error instanceof Error ? error : new Error(messageOf(error)));
      return;
    }
    seat.running = next;
    seat.worker.ref();
  }

  function enqueue(list: Pending<Job, Answer>[], job: Job, transfer: readonly Transferable[]): Promise<Answer> {
    if (closed) return Promise.reject(closed);
    return new Promise((resolve, reject) => {
      list.push({ job, transfer, resolve, reject });
      advance();
    });
  }

  return {
    size,
    call: (job, transfer = []) => enqueue(queue, job, transfer),
    everywhere: (job) => Promise.all(seats.map((seat) => enqueue(seat.own, job, []))),
    each: (jobs) =>
      Promise.all(
        seats.map((seat, i) => {
          const { job, transfer } = jobs(i);
          return enqueue(seat.own, job, transfer);
        }),
      ),
    release() {
      close(new Error('these workers are released: expected an open pool; got a later or waiting call'));
      released ??= (async () => {
        if (seats.some((seat) => seat.running)) await new Promise<void>((resolve) => (drained = resolve));
        await Promise.all(seats.map((seat) => seat.worker.terminate()));
      })();
      return released;
    },
  };
}

/** The worker's side: answers each job in order; what `handle` throws becomes the caller's rejection. */
export function serve<Job, Answer>(
  handle: (job: Job) => Promise<{ answer: Answer; transfer?: readonly Transferable[] }>,
): void {
  let last: Promise<void> = Promise.resolve();
  parentPort?.on('message', ({ id, job }: { id: number; job: Job }) => {
    last = last.then(async () => {
      try {
        const { answer, transfer = [] } = await handle(job);
        parentPort?.postMessage({ id, answer }, transfer);
      } catch (error) {
        parentPort?.postMessage({ id, error: faultOf(error) });
      }
    });
  });
}

function faultOf(error: unknown): Fault {
  return {
    message: messageOf(error),
    ...(error instanceof OutOfMemoryError ? { outOfMemory: { bytes: error.bytes } } : {}),
  };
}

function errorOf({ message, outOfMemory }: Fault): Error {
  return outOfMemory ? new OutOfMemoryError(message, outOfMemory.bytes) : new Error(message);
}

/** Threads need JavaScript: a test runner that reads `src` directly uses the built file instead. */
function compiled(module: URL): URL {
  if (existsSync(fileURLToPath(module))) return module;
  return new URL(module.href.replace('/src/', '/dist/'));
}
