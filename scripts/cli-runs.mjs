/**
 * What scripts that measure whole runs share: the command line as a user calls it, and the numbers that a run leaves in
 * its folder.
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

/** What is told of a policy on the held-out scenes, by the names of the run's metrics. */
const NUMBERS = {
  reward: 'reward',
  format: 'rewards/format/mean',
  parsed: 'answer/parsed',
  iou: 'rewards/iou/mean',
  structure: 'rewards/structure/mean',
  hit: 'answer/hit',
};

/** Runs a program of Node's to its end; its own table goes nowhere, what it complains of to the terminal. */
export function program(file, args) {
  const start = performance.now();
  const { status } = spawnSync(process.execPath, [file, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error(`${relative('', file)} ${args.join(' ')}: expected exit code 0; got ${status}`);
  return Math.round(performance.now() - start) / 1000;
}

/**
 * `segr1 pipeline NAME` in a fresh folder.
 *
 * @param settings by their path, as `--set` takes them.
 */
export function pipeline(name, run, settings, { maxSteps, file } = {}) {
  const set = Object.entries(settings).flatMap(([path, value]) => ['--set', `${path}=${value}`]);
  const args = [
    'pipeline',
    name,
    ...(file ? ['--pipelines', relative('', file)] : []),
    ...set,
    ...(maxSteps ? ['--max-steps', maxSteps] : []),
    '--run',
    run,
  ];
  const beside = existsSync(run) ? readdirSync(run).filter((name) => name !== 'run.lock') : [];
  if (beside.length > 0 && !beside.includes('config.yaml'))
    throw new Error(`${run}: expected a run's folder, which is made anew, or none; got another`);
  rmSync(run, { recursive: true, force: true });
  const seconds = program(CLI, args);
  return {
    command: `segr1 ${args.map((word) => (/[\s'{}]/.test(word) ? JSON.stringify(word) : word)).join(' ')}`,
    seconds,
  };
}

/** The checkpoint that a run ended with. */
export function checkpointOf(run) {
  const { step } = readFileSync(join(run, 'metrics/metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .at(-1);
  return join(run, `checkpoints/step-${step}`);
}

/** What a policy is worth on the scenes that are held out, by its run of `evaluate`. */
export function judged(run) {
  return numbersOf(JSON.parse(readFileSync(join(run, 'summary.json'), 'utf8')));
}

/** Reward on those scenes behind each step that was judged, by step. */
export function judgedAlong(run) {
  const lines = readFileSync(join(run, 'metrics/metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return Object.fromEntries(
    lines.flatMap(({ step, metrics }) => (metrics.eval_reward === undefined ? [] : [[step, metrics.eval_reward]])),
  );
}

const numbersOf = ({ metrics }) =>
  Object.fromEntries(Object.entries(NUMBERS).map(([name, metric]) => [name, metrics[metric].mean]));

/** The policy before a run's first step and after its last, on the scenes that are held out, and the gain by scene. */
export function learned(run) {
  const { before, after, gains } = JSON.parse(readFileSync(join(run, 'gain.json'), 'utf8'));
  const { mean: gain, error } = gains.reward;
  const constant = Math.max(...after.constants.map(({ reward }) => reward.mean));
  return { start: numbersOf(before), end: numbersOf(after), gain, error, constant };
}

/** Lines of JSON, one a finished run, so that a script that was stopped goes on behind them. */
export function record(file) {
  mkdirSync(dirname(file), { recursive: true });
  const read = () =>
    existsSync(file)
      ? readFileSync(file, 'utf8')
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line))
      : [];
  return {
    read,
    add(line) {
      appendFileSync(file, `${JSON.stringify(line)}\n`);
      console.log(JSON.stringify(line));
    },
    forget(unwanted) {
      writeFileSync(
        file,
        read()
          .filter((line) => !unwanted(line))
          .map((line) => `${JSON.stringify(line)}\n`)
          .join(''),
      );
    },
  };
}

export function markdown(head, rows) {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
