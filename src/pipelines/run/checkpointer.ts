import { Subject, type Observable } from 'rxjs';

import { mean } from '../../operators/scoring/statistics.js';
import { byEvaluation, scoreBy } from './best.js';
import { checkpointWriter, type Learner } from './checkpoint-writer.js';
import type { Ledger } from './row-ledger.js';
import { stageStates } from './memories.js';
import type { StepEvent } from '../events.js';
import { codeVersion, configHash, type RunState, type Saved } from '../store/checkpoint-state.js';
import type { CheckpointOptions } from '../settings.js';
import type { Folders, StageContext } from '../stage.js';

/** What a checkpoint asks of the run around it. */
export interface Around {
  readonly folders: Folders;
  readonly options: CheckpointOptions;
  readonly book: Ledger;
  /** Where the run goes on; none for one from the beginning. */
  readonly from: Saved | undefined;
  /** Whether the run is to end with the step that it is at. */
  readonly ending: () => boolean;
  /** Time until now. */
  readonly spent: () => Pick<RunState, 'elapsed' | 'seconds'>;
  readonly told: (step: number, folder: string) => void;
  /** Judges the policy behind a step, every so many; cut off where the run is interrupted. */
  readonly evaluation?: { readonly every: number; readonly judge: (step: number) => Promise<void> };
}

/** Writes down a run that learns, at moments at which everything fits together. */
export interface Checkpoints {
  /** Fires when the run may be cut off, as was asked; errors with what went wrong in writing. */
  readonly over: Observable<void>;
  readonly learns: boolean;
  readonly forStages: Pick<StageContext, 'keepState' | 'beforeCheckpoint'> & {
    /** Takes the policy whose steps become checkpoints, and gives it the training that the run goes on from. */
    learner(policy: Learner): Promise<void>;
  };
  entered(id: string): void;
  /** Told of a step once its weights stand. */
  stepped(step: StepEvent): void;
  /** Told of a row once the ledger has it. */
  left(id: string): void;
  /** Whether the evaluation behind the step from which the run goes on was broken off, or may have been. */
  readonly owes: boolean;
  /** Makes up for it. */
  makeUp(): Promise<void>;
  /** Writes down the end of a run; nothing where that was done before, or no step was taken. */
  last(): Promise<void>;
}

/**
 * Checkpoints of a run: every so many steps, and when it ends; and evaluations of the policy between two steps.
 *
 * Either waits until the rows of its step have left, so that they are on disk; the policy takes no other step until it
 * is done. Where
 * both are due the checkpoint comes first: a run that is broken off in an evaluation goes on from there.
 */
export function checkpoints({ folders, options, book, from, ending, spent, told, evaluation }: Around): Checkpoints {
  // As the run began, whatever becomes of the file.
  const config = configHash(folders.root);
  const memory = stageStates(from?.state.memory);
  const files = checkpointWriter(folders, options);
  const over = new Subject<void>();
  const again = new Set(from?.state.source.again);
  let given = from?.state.source.given ?? 0;
  let learner: Learner | undefined;
  let saved = from?.state.step ?? 0;
  let passed = saved;
  let evaluated = from?.state.evaluated ?? 0;
  let scores: number[] = [];
  let waiting: { readonly rows: Set<string>; readonly release: () => void } | undefined;
  let writing: Promise<void> = Promise.resolve();

  const due = (step: number): boolean =>
    crosses(step, saved, options.every) || ending() || (step === evaluated && byEvaluation(options.best));

  /** Everything at this moment; nothing of it may wait. */
  function snapshot(step: number): RunState {
    const unfinished = [...again, ...book.inFlight];
    const { rowsOut, marks, faults, tokens, marked } = book;
    const score = mean(scores);
    scores = [];
    return {
      code: codeVersion(),
      config,
      step,
      score: Number.isFinite(score) ? score : null,
      evaluated,
      source: { given, again: unfinished },
      rows: { rowsOut, marks, faults, tokens, marked: structuredClone(marked) },
      ...spent(),
      memory: memory.kept(new Set(unfinished)),
    };
  }

  async function write(policy: Learner): Promise<void> {
    const state = snapshot(policy.version);
    const folder = await files.write(policy, state);
    saved = state.step;
    told(state.step, folder);
  }

  async function judge(step: number): Promise<void> {
    await evaluation?.judge(step);
    if (byEvaluation(options.best)) await files.drop();
  }

  /** Between two steps: writes the one down, and has it judged. */
  async function pause(policy: Learner): Promise<void> {
    const step = policy.version;
    if (due(step)) await write(policy);
    if (step === evaluated) await judge(step);
    // Interrupted meanwhile.
    if (ending() && saved < step) await write(policy);
  }

  /** The rows of the step have left: lets the next one be taken once all that is due has been done. */
  function cut(policy: Learner, release: () => void): void {
    waiting = undefined;
    writing = pause(policy);
    writing.then(
      () => (ending() ? over.next() : release()),
      (error: unknown) => over.error(error),
    );
  }

  return {
    over,
    get learns() {
      return learner !== undefined;
    },
    forStages: {
      async learner(policy) {
        if (learner === policy) return;
        learner = policy;
        if (from) await policy.restore(from.folder);
      },
      keepState: (stage, keep) => memory.remember(stage, keep),
      beforeCheckpoint: (job) => files.before(job),
    },
    entered: (id) => void (again.delete(id) || given++),
    stepped({ step, metrics, rows }) {
      if (options.best !== undefined) scores.push(scoreBy(options.best, metrics));
      // A step that lets no row go is one of several on the same rows, and nothing could go on from there.
      if (!learner || waiting || rows?.length === 0) return;
      if (evaluation && crosses(step, passed, evaluation.every)) evaluated = step;
      passed = step;
      if (!due(step) && step !== evaluated) return;
      const policy = learner;
      let release = (): void => {};
      policy.pause(new Promise<void>((resolve) => (release = resolve)));
      waiting = { rows: new Set(rows?.filter((id) => book.inFlight.has(id))), release };
      if (waiting.rows.size === 0) cut(policy, release);
    },
    left(id) {
      if (!waiting?.rows.delete(id) || waiting.rows.size > 0 || !learner) return;
      cut(learner, waiting.release);
    },
    owes: evaluation !== undefined && from !== undefined && evaluated === from.state.step,
    makeUp: () => judge(saved),
    async last() {
      await writing;
      if (learner && learner.version > saved) await write(learner);
    },
  };
}

/** Whether a multiple of `every` lies behind `before` and not behind `step`. */
function crosses(step: number, before: number, every: number): boolean {
  return Math.floor(step / every) > Math.floor(before / every);
}
