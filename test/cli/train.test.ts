import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { openPolicy } from '../../src/models/policies.js';
import { folder } from '../pipelines/files.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The shipped pipelines, with an evaluation on a few rows. */
function quickPipelines(): string {
  const shipped = readFileSync(join(root, 'pipelines.yaml'), 'utf8');
  return folder().file(
    'pipelines.yaml',
    shipped.replaceAll('data/models', join(root, 'data/models')).replace('count: 240', 'count: 6'),
  );
}

/** Runs the shipped pipelines unless others are named. @param said called with each line. */
function segr1(
  args: readonly string[],
  said: (line: string, interrupt: () => void) => void = () => {},
): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [
        join(root, 'dist/cli.js'),
        ...args,
        ...(args.includes('--pipelines') ? [] : ['--pipelines', join(root, 'pipelines.yaml')]),
      ],
      { cwd: folder().path },
    );
    let [out, err, open] = ['', '', ''];
    child.stdout.on('data', (text: Buffer) => {
      out += text.toString();
      const lines = (open + text.toString()).split('\n');
      open = lines.pop() ?? '';
      for (const line of lines) said(line, () => child.kill('SIGINT'));
    });
    child.stderr.on('data', (text: Buffer) => (err += text.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

describe('segr1 pipeline train', () => {
  it('finishes the step at SIGINT and leaves a policy that opens', async () => {
    const run = join(folder().path, 'run');
    let sent = false;
    const { code, out, err } = await segr1(
      ['pipeline', 'train', '--set', 'evaluate=null', '--run', run],
      (line, interrupt) => {
        if (!sent && line.startsWith('step 1 ')) interrupt();
        sent ||= line.startsWith('step 1 ');
      },
    );
    expect([code, err]).toEqual([130, 'finishing what is in flight; once more ends at once\n']);
    const [, rowsIn, rowsOut] = /^rows {5}(\d+) in, (\d+) out$/m.exec(out) ?? [];
    expect(Number(rowsIn)).toBeGreaterThan(0);
    expect(rowsOut).toBe(rowsIn);
    expect(out).toMatch(/^stopped {2}interrupted$/m);

    const [checkpoint, ...others] = readdirSync(join(run, 'checkpoints'));
    expect(others).toEqual([]);
    expect(checkpoint).toBe(`step-${/^steps {4}(\d+)$/m.exec(out)?.[1]}`);
    const policy = await openPolicy(join(run, 'checkpoints', checkpoint ?? ''), { workers: 1, threads: 1, batch: 1 });
    expect([policy.version, policy.parameters > 1e6]).toEqual([0, true]);
    await policy.release();
  });

  it('judges the policy before and after as many steps as were asked for, in JSON lines', async () => {
    const run = join(folder().path, 'run');
    const { code, out } = await segr1([
      'pipeline',
      'train',
      '--max-steps',
      '1',
      '--json',
      '--set',
      'load.scenes.count=8',
      '--run',
      run,
      '--pipelines',
      quickPipelines(),
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(out.trim().split('\n').at(-1) ?? '')).toMatchObject({
      kind: 'gain',
      name: 'evaluate',
      before: { rows: 6 },
      after: { rows: 6 },
      gains: { 'answer/hit': { n: 6 } },
    });
    expect(existsSync(join(run, 'after', 'gallery', 'best-1.png'))).toBe(true);
  });
});

describe('segr1 pipeline train, of an adapter', () => {
  it('judges the checkpoint before and the adapter after, and an evaluation takes the adapter by itself', async () => {
    const run = join(folder().path, 'run');
    const lora = [
      '--set',
      'policy.train={ lora: { rank: 4, targets: [q_proj, v_proj] } }',
      '--set',
      'update.learningRate=1e-2',
    ];
    const { code, out } = await segr1([
      'pipeline',
      'train',
      '--max-steps',
      '1',
      '--json',
      ...lora,
      '--set',
      'load.scenes.count=8',
      '--run',
      run,
      '--pipelines',
      quickPipelines(),
    ]);
    expect(code).toBe(0);
    const { after } = JSON.parse(out.trim().split('\n').at(-1) ?? '') as { after: { metrics: object } };
    const alone = await segr1([
      'pipeline',
      'evaluate',
      '--json',
      '--set',
      `policy.adapter=${join(run, 'checkpoints/step-1')}`,
      '--run',
      join(folder().path, 'run'),
      '--pipelines',
      quickPipelines(),
    ]);
    const tally = alone.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string; tally: { metrics: object } })
      .find(({ kind }) => kind === 'tally');
    expect([alone.code, tally?.tally]).toEqual([0, after]);
  });
});

describe('segr1 pipeline evaluate', () => {
  it('prints what was counted, and writes it down', async () => {
    const run = join(folder().path, 'run');
    const { code, out } = await segr1([
      'pipeline',
      'evaluate',
      '--set',
      'load.scenes.count=12',
      '--set',
      'tally.constantBaseline=4',
      '--set',
      'tally.overlays=1',
      '--run',
      run,
    ]);
    expect(code).toBe(0);
    expect(out).toMatch(/^ +mean +n$/m);
    expect(out).toMatch(/^reward +1\.\d{3} ± 0\.\d{3} +12$/m);
    expect(out).toMatch(/^reward on another scene +1\.\d{3} ± 0\.\d{3} +11$/m);
    expect(out).toMatch(/^best constant answer, \[\d+,\d+,\d+,\d+\] +1\.\d{3} ± 0\.\d{3} +4$/m);
    expect(out).toMatch(/^rows {5}12 in, 12 out$/m);
    expect(readdirSync(run).toSorted()).toEqual([
      'checkpoints',
      'config.yaml',
      'finished.json',
      'gallery',
      'inputs.json',
      'metrics',
      'overlays',
      'report.html',
      'rows',
      'scores.jsonl',
      'summary.json',
      'summary.md',
      'summary.tex',
    ]);
    expect(readdirSync(join(run, 'overlays')).toSorted()).toEqual([
      'best-1.png',
      'index.json',
      'random-1.png',
      'worst-1.png',
    ]);
  });

  it('prints one JSON line of what was counted with --json', async () => {
    const { out } = await segr1([
      'pipeline',
      'evaluate',
      '--json',
      '--set',
      'load.scenes.count=4',
      '--set',
      'tally.constantBaseline=1',
      '--set',
      'tally.overlays=0',
    ]);
    const tallies = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string })
      .filter(({ kind }) => kind === 'tally');
    expect(tallies).toMatchObject([
      { name: 'evaluate', tally: { rows: 4, marked: {}, metrics: { reward: { n: 4 } } } },
    ]);
  });
});
