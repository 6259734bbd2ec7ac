import { Subject, type Observable } from 'rxjs';

import { messageOf, shown, UsageError } from '../../errors.js';
import { mean } from '../../operators/scoring/statistics.js';
import type { StepEvent } from '../events.js';
import { byEvaluation, type CheckpointOptions } from '../settings.js';
import { codeVersion, configHash, type RunState, type Saved } from '../store/checkpoint-state.js';
import type { RunFolder } from '../store/run-folder.js';
import { scoreBy, type CheckpointWriter, type Trainable } from './checkpoint-writer.js';
import type { RowTracker } from './row-tracker.js';

/** What a checkpointer needs of the run. */
export interface CheckpointContext {
  readonly folder: RunFolder;
  readonly options: Pick<CheckpointOptions, 'every' | 'best'>;
  readonly tracker: RowTracker;
  readonly trainee: Trainee;
  readonly states: Pick<StageStates, 'snapshot'>;
  readonly writer: Pick<CheckpointWriter, 'write' | 'drop'>;
  /** The checkpoint from which the run resumes. */
  readonly from: Saved | undefined;
  /** Whether the run is to end with the current step. */
  readonly ending: () => boolean;
  /** Time until now. */
  readonly spent: () => Pick<RunState, 'elapsed' | 'seconds'>;
  /** Called once a checkpoint is on disk. */
  readonly written: (step: number, folder: string) => void;
  /** Evaluates the policy after a step, at the set interval; interrupted with the run. */
  readonly evaluation?: { readonly every: number; readonly evaluate: (step: number) => Promise<void> };
}

/** The checkpointer's state; the policy takes steps only while it is idle. */
type State =
  | { readonly is: 'idle' }
  /** For the rows of a step to leave, so that they are on disk; `release` lets the policy take the next. */
  | { readonly is: 'waiting'; readonly release: () => void }
  | { readonly is: 'writing' }
  | { readonly is: 'evaluating' }
  /** Nothing more is written, except a last checkpoint on request. */
  | { readonly is: 'over' };

/**
 * Saves the state of a training run when all of it is consistent, every so many steps and at the end, and evaluates the
 * policy between steps.
 *
 *     idle ── a step, something due ──▶ waiting ── its rows have left ──▶ writing ──▶ evaluating ──▶ idle, or over
 *
 * If both are due, the checkpoint comes first: a run that is interrupted in the evaluation resumes there.
 */
export class Checkpointer {
  readonly #run: CheckpointContext;
  // The configuration as the run began, even if the file changes.
  readonly #config: string;
  readonly #over = new Subject<void>();
  #state: State = { is: 'idle' };
  /** The current or last writing and evaluation. */
  #work: Promise<void> = Promise.resolve();
  /** Step of the newest checkpoint, of the newest step that ended a batch, and of the newest evaluation. */
  #saved: number;
  #passed: number;
  #evaluated: number;
  /** What `checkpoints.best` was at each step since the newest checkpoint. */
  #scores: number[] = [];

  constructor(run: CheckpointContext) {
    this.#run = run;
    this.#config = configHash(run.folder);
    this.#saved = this.#passed = run.from?.state.step ?? 0;
    this.#evaluated = run.from?.state.evaluated ?? 0;
  }

  /** Emits when a requested end is possible; errors if writing or evaluating fails. */
  get over(): Observable<void> {
    return this.#over;
  }

  /** Called after each step, once its weights are final. */
  stepped({ step, metrics, rows }: StepEvent): void {
    const { tracker, trainee, options, evaluation } = this.#run;
    if (options.best !== undefined) this.#scores.push(scoreBy(options.best, metrics));
    // A step that releases no row is one of several on the same rows; no run could resume there.
    if (!trainee.policy || this.#state.is !== 'idle' || rows?.length === 0) return;
    if (evaluation && crosses(step, this.#passed, evaluation.every)) this.#evaluated = step;
    this.#passed = step;
    if (!this.#isDue(step) && step !== this.#evaluated) return;
    trainee.policy.pause(new Promise<void>((resolve) => (this.#state = { is: 'waiting', release: resolve })));
    tracker.awaitRows(rows ?? []);
    this.rowLeft();
  }

  /** Called after each row that left, once the tracker has counted it. */
  rowLeft(): void {
    const { tracker, trainee, ending } = this.#run;
    const state = this.#state;
    if (state.is !== 'waiting' || tracker.awaiting > 0 || !trainee.policy) return;
    this.#state = { is: 'writing' };
    this.#work = this.#betweenSteps(trainee.policy);
    this.#work.then(
      () => {
        this.#state = { is: ending() ? 'over' : 'idle' };
        if (this.#state.is === 'over') this.#over.next();
        else state.release();
      },
      (error: unknown) => {
        this.#state = { is: 'over' };
        this.#over.error(error);
      },
    );
  }

  /** Whether the evaluation after the step from which the run resumes may be incomplete. */
  get owesEvaluation(): boolean {
    const { evaluation, from } = this.#run;
    return evaluation !== undefined && from !== undefined && this.#evaluated === from.state.step;
  }

  /** Runs it again. */
  async makeUpEvaluation(): Promise<void> {
    await this.#evaluate(this.#saved);
    this.#state = { is: 'idle' };
  }

  /** Writes the last checkpoint; does nothing if it exists, or no step was taken. */
  async finish(): Promise<void> {
    await this.#work;
    const { policy } = this.#run.trainee;
    if (policy && policy.version > this.#saved) await this.#write(policy);
  }

  /** The rows of the step have left: does all that is due before the next one. */
  async #betweenSteps(policy: Trainable): Promise<void> {
    const step = policy.version;
    if (this.#isDue(step)) await this.#write(policy);
    if (step === this.#evaluated) await this.#evaluate(step);
    // Interrupted meanwhile.
    if (this.#run.ending() && this.#saved < step) await this.#write(policy);
  }

  async #write(policy: Trainable): Promise<void> {
    this.#state = { is: 'writing' };
    const state = this.#snapshot(policy.version);
    const folder = await this.#run.writer.write(policy, state);
    this.#saved = state.step;
    this.#run.written(state.step, folder);
  }

  async #evaluate(step: number): Promise<void> {
    this.#state = { is: 'evaluating' };
    await this.#run.evaluation?.evaluate(step);
    if (byEvaluation(this.#run.options.best)) await this.#run.writer.drop();
  }

  #isDue(step: number): boolean {
    const { options, ending } = this.#run;
    return (
      crosses(step, this.#saved, options.every) || ending() || (step === this.#evaluated && byEvaluation(options.best))
    );
  }

  /** All state at this moment; it must be taken synchronously. */
  #snapshot(step: number): RunState {
    const { tracker, states, spent } = this.#run;
    const { source } = tracker;
    const score = mean(this.#scores);
    this.#scores = [];
    return {
      code: codeVersion(),
      config: this.#config,
      step,
      score: Number.isFinite(score) ? score : null,
      evaluated: this.#evaluated,
      source,
      rows: tracker.counts,
      ...spent(),
      memory: states.snapshot(new Set(source.pending)),
    };
  }
}

/** The policy whose steps become checkpoints, once a stage has taken it. */
export class Trainee {
  readonly #from: Saved | undefined;
  #policy: Trainable | undefined;

  /** @param from the checkpoint from which its training resumes. */
  constructor(from?: Saved) {
    this.#from = from;
  }

  get policy(): Trainable | undefined {
    return this.#policy;
  }

  async take(policy: Trainable): Promise<void> {
    if (this.#policy === policy) return;
    this.#policy = policy;
    if (this.#from) await policy.restore(this.#from.folder);
  }
}

/** State that stages keep across resumed runs. */
export interface StageStates {
  /**
   * Registers the function that returns a stage's state without the `pending` rows; returns its state in the run
   * before, if any.
   */
  keep(stage: string, state: (pending: ReadonlySet<string>) => unknown): unknown;
  /** The current states by stage; the second of a name is `NAME 2`. */
  snapshot(pending: ReadonlySet<string>): Record<string, unknown>;
}

export function stageStates(before: Readonly<Record<string, unknown>> = {}): StageStates {
  const known = new Map<string, (pending: ReadonlySet<string>) => unknown>();
  return {
    keep(stage, state) {
      const alike = [...known.keys()].filter((name) => name === stage || name.startsWith(`${stage} `)).length;
      const name = alike === 0 ? stage : `${stage} ${alike + 1}`;
      known.set(name, state);
      return before[name];
    },
    snapshot: (pending) => Object.fromEntries([...known].map(([name, state]) => [name, asJson(name, state(pending))])),
  };
}

/** @throws {UsageError} for a state that a checkpoint cannot hold. */
function asJson(stage: string, state: unknown): unknown {
  try {
    JSON.stringify(state);
    return state;
  } catch (error) {
    throw new UsageError(`${stage}  keepState: expected a state as JSON; got ${shown(state)}, ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Whether a multiple of `every` is in (before, step]. */
function crosses(step: number, before: number, every: number): boolean {
  return Math.floor(step / every) > Math.floor(before / every);
}
