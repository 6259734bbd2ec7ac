import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { shortPath, UsageError } from '../../errors.js';
import { writeWhole } from '../../io/whole-file.js';

/** Names of a step's checkpoint or evaluation, and of a checkpoint that is being written. */
const STEP = /^step-(\d+)$/;
const MAKING = '.making';
const HALF_WRITTEN = /^step-\d+(\.making|(\.making)?\.partial(-\d+)?)$/;

/** Every name in the folder of a run; paths are absolute, and only methods that say so create anything. */
export class RunFolder {
  readonly root: string;

  constructor(root: string) {
    this.root = resolve(root);
  }

  /** Default place of runs: `runs` in the working folder, or one run in it. */
  static inRuns(name = ''): RunFolder {
    return new RunFolder(join('runs', name));
  }

  /** The pipeline that the run was begun with, resolved. */
  get config(): string {
    return this.#at('config.yaml');
  }
  /** What the run reads, and what it began on. */
  get inputs(): string {
    return this.#at('inputs.json');
  }
  /** The process that uses the folder; while it is taken over, files beside it have more in their names. */
  get lock(): string {
    return this.#at('run.lock');
  }
  /** The summary of the run; only there once the run is complete. */
  get finished(): string {
    return this.#at('finished.json');
  }

  /** Folder of the shards. */
  get rows(): string {
    return this.#at('rows');
  }
  /** In a restarted run, the rows from before, until it ends. */
  get earlierRows(): string {
    return this.#at('rows.before');
  }
  /** Answers that a server gave. */
  get answers(): string {
    return this.#at('answers.jsonl');
  }

  get metrics(): string {
    return this.#at('metrics');
  }
  /** A JSON line a step. */
  get stepLines(): string {
    return join(this.metrics, 'metrics.jsonl');
  }
  /** A JSON line a row: seconds in each stage. */
  get timings(): string {
    return join(this.metrics, 'timings.jsonl');
  }
  /** All steps as one table. */
  get stepTable(): string {
    return join(this.metrics, 'metrics.arrow');
  }

  get checkpoints(): string {
    return this.#at('checkpoints');
  }
  checkpoint(step: number): string {
    return join(this.checkpoints, stepName(step));
  }
  /** Where the checkpoint of a step is written before it has its name. */
  unfinishedCheckpoint(step: number): string {
    return this.checkpoint(step) + MAKING;
  }
  /** Steps of which there is a checkpoint, the newest first; whole or damaged. */
  checkpointSteps(): number[] {
    return stepsIn(this.checkpoints);
  }
  /** Checkpoints that were being written or removed when their run was interrupted. */
  halfWrittenCheckpoints(): string[] {
    return namesIn(this.checkpoints).flatMap((name) => (HALF_WRITTEN.test(name) ? [join(this.checkpoints, name)] : []));
  }
  /** The checkpoint of the highest step, or of the one given; undefined where there is none. */
  lastCheckpoint(step?: number): string | undefined {
    const found = this.checkpointSteps().find((one) => step === undefined || one === step);
    return found === undefined ? undefined : this.checkpoint(found);
  }

  /** The run that evaluates the policy before the first step. */
  get before(): RunFolder {
    return new RunFolder(this.#at('before'));
  }
  /** The one after the last step. */
  get after(): RunFolder {
    return new RunFolder(this.#at('after'));
  }
  get #evaluations(): string {
    return this.#at('evaluations');
  }
  /** The one after a step. */
  evaluation(step: number): RunFolder {
    return new RunFolder(join(this.#evaluations, stepName(step)));
  }
  /** Steps after which there is an evaluation, the newest first; complete or not. */
  evaluationSteps(): number[] {
    return stepsIn(this.#evaluations);
  }
  /** The result of an evaluation, overall and row by row. */
  get values(): string {
    return this.#at('values.json');
  }
  /** What training changed between `before` and `after`. */
  get gain(): string {
    return this.#at('gain.json');
  }
  get gainText(): string {
    return this.#at('gain.md');
  }

  get summary(): string {
    return this.#at('summary.json');
  }
  get summaryText(): string {
    return this.#at('summary.md');
  }
  get summaryTable(): string {
    return this.#at('summary.tex');
  }
  /** The page for people. */
  get report(): string {
    return this.#at('report.html');
  }
  /** A JSON line a scored row. */
  get scores(): string {
    return this.#at('scores.jsonl');
  }
  /** Folder of the pictures on the page. */
  get gallery(): string {
    return this.#at('gallery');
  }
  /** Folder of the pictures that `tally` draws. */
  get overlays(): string {
    return this.#at('overlays');
  }
  get overlayIndex(): string {
    return join(this.overlays, 'index.json');
  }
  get benchmark(): string {
    return this.#at('benchmark.json');
  }
  get benchmarkText(): string {
    return this.#at('benchmark.md');
  }

  /**
   * Makes the folder of a new run, its pipeline in it.
   *
   * @param config the resolved pipeline.
   * @throws {UsageError} if it already holds something.
   */
  begin(config: string): this {
    if (namesIn(this.root).some((name) => !this.#at(name).startsWith(this.lock))) {
      const resumable = existsSync(this.config) ? ', or --resume' : '';
      throw new UsageError(
        `${shortPath(this.root)}  run: expected a new or empty folder; got one with files in it; way out: another --run${resumable}`,
      );
    }
    mkdirSync(this.root, { recursive: true });
    // First, so that an unwritable folder stays empty.
    writeWhole(this.config, config);
    return this.make();
  }

  /** Makes its missing folders. */
  make(): this {
    for (const folder of [this.rows, this.metrics, this.checkpoints]) mkdirSync(folder, { recursive: true });
    return this;
  }

  #at(name: string): string {
    return join(this.root, name);
  }
}

/** A checkpoint's name, for people and for `--resume`. */
export function stepName(step: number): `step-${number}` {
  return `step-${step}`;
}

function stepsIn(folder: string): number[] {
  const steps = namesIn(folder).flatMap((name) => STEP.exec(name)?.[1] ?? []);
  return steps.map(Number).toSorted((a, b) => b - a);
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
