/**
 * The embedded default, some steps on the CPU and as many on a device, losses side by side: node train.mjs [--steps 10]
 * [--device cuda] [--folder DIR]
 *
 * What is drawn is the same on both until a rounding decides a token, and from there on the runs part.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';

import { each, short, teller } from './tell.mjs';

const { values: asked } = parseArgs({
  options: {
    steps: { type: 'string', default: '10' },
    device: { type: 'string', default: 'cuda' },
    memory: { type: 'string', default: '8GB' },
  },
});
const tell = teller('train');
const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'segr1-train-'));
const METRICS = ['loss', 'reward', 'grad_norm', 'entropy'];

function ran(device) {
  const to = join(folder, device.replace(':', '-'));
  const where = device === 'cpu' ? [] : ['--set', `policy.memory=${asked.memory}`];
  const args = [
    'dist/cli.js',
    'pipeline',
    'train',
    '--max-steps',
    asked.steps,
    '--set',
    'evaluate=null',
    '--set',
    'policy.workers=1',
    '--set',
    `policy.device=${device}`,
    ...where,
    '--run',
    to,
  ];
  const start = performance.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const took = (performance.now() - start) / 1000;
  if (status !== 0)
    throw new Error(
      `train on ${device}: expected exit code 0; got ${status}: ${stderr.trim() || stdout.trim().slice(-400)}`,
    );
  const steps = readFileSync(join(to, 'metrics', 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).metrics);
  tell({ part: 'run', device, took, steps }, `${device}: ${steps.length} steps, ${took.toFixed(1)} s`);
  return steps;
}

const well = await each(tell, [
  [
    'train',
    () => {
      const [cpu, other] = ['cpu', asked.device].map(ran);
      for (const name of METRICS) {
        const pairs = cpu.flatMap((step, i) =>
          name in step && name in (other[i] ?? {}) ? [[step[name], other[i][name]]] : [],
        );
        if (pairs.length === 0) continue;
        const apart = pairs.map(([a, b]) => Math.abs(a - b));
        tell(
          { part: 'compared', name, pairs, most: Math.max(...apart) },
          `${name}: first step ${short(apart[0])} apart, at most ${short(Math.max(...apart))} in ${pairs.length} steps`,
        );
      }
      console.log(`losses ${cpu.map((step, i) => `${short(step.loss)}/${short(other[i]?.loss)}`).join(' ')}`);
    },
  ],
]);
rmSync(folder, { recursive: true });
process.exitCode = well ? 0 : 1;
