import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { folder, stubPipeline } from '../pipelines/files.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the program in a folder of its own. @param said called with all that was printed, whenever there is more. */
function segr1(
  args: readonly string[],
  said: (out: string, child: ChildProcess, err: string) => void = () => {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], { cwd: folder().path });
    let [out, err] = ['', ''];
    child.stdout.on('data', (text: Buffer) => {
      out += text.toString();
      said(out, child, err);
    });
    child.stderr.on('data', (text: Buffer) => {
      err += text.toString();
      said(out, child, err);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, out, err }));
  });
}

const ENDLESS = '[{ rows: { count: 1000000 } }, { guess: { delay: 20 } }, { teach: { groupsPerStep: 4 } }]';

describe('segr1 pipeline', () => {
  it('runs a pipeline, sums it up and ends with 0', async () => {
    const root = join(folder().path, 'run');
    const { code, out, err } = await segr1([
      'pipeline',
      stubPipeline(
        '[{ rows: { count: 9 } }, guess, { doubt: { every: 4, onPurpose: true } }, { teach: { groupsPerStep: 4 } }]',
      ),
      '--run',
      root,
    ]);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^rows {5}9 in, 9 out$/m);
    expect(out).toMatch(/^marked {3}3 {2}doubt: on purpose$/m);
    expect(out).toMatch(/^steps {4}3$/m);
    expect(out).toContain(root);
  });

  it('prints JSON lines and nothing else', async () => {
    const { code, out } = await segr1(['pipeline', stubPipeline('[rows, guess, teach]'), '--json']);
    const lines = out
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text) as { kind: string });
    expect(code).toBe(0);
    expect(lines.map(({ kind }) => kind)).toEqual(['start', 'step', 'step', 'step', 'step', 'end']);
  });

  // 255 bytes are the longest name of a file; the run's folder has the time behind it.
  it('runs a file with as long a name as there may be, in a folder of its own', async () => {
    const long = folder().file(
      `${'z'.repeat(250)}.yaml`,
      readFileSync(stubPipeline('[{ rows: { count: 1 } }, guess]'), 'utf8'),
    );
    const { code, out } = await segr1(['pipeline', long, '--json']);
    const { summary } = JSON.parse(out.trim().split('\n').at(-1) ?? '') as { summary: { folder: string } };
    expect([code, basename(summary.folder).length]).toEqual([0, 255]);
    expect(basename(summary.folder)).toMatch(/^z{222}-[0-9a-f]{16}-\d{8}-\d{6}$/);
  });

  it('takes a name from the pipelines.yaml of the folder, or of --pipelines', async () => {
    const { path, file } = folder();
    const all = file('all.yaml', 'one: { stages: [load: { scenes: { count: 1 }, frame: 64 }] }\n');
    const { code, out } = await segr1(['pipeline', 'one', '--pipelines', all, '--check']);
    expect([code, out.split('\n')[0]]).toEqual([0, 'one:']);
    expect(existsSync(join(path, 'runs'))).toBe(false);
  });

  it('prints the checked pipeline and opens nothing with --check', async () => {
    const { code, out } = await segr1([
      'pipeline',
      stubPipeline('[rows, guess, teach]'),
      '--check',
      '--run-modules',
      '--set',
      'rows.count=3',
      '--set',
      'seed=9',
    ]);
    expect(code).toBe(0);
    expect(out).toContain('seed: 9');
    expect(out).toContain('count: 3');
    const json = await segr1(['pipeline', stubPipeline('[rows]'), '--check', '--run-modules', '--json']);
    expect(JSON.parse(json.out)).toMatchObject({
      name: 'stub',
      stages: [{ rows: { count: 16 } }],
      plan: { rows: 16 },
      unchecked: [],
    });
  });

  it('runs no module to look, and says what is unchecked without', async () => {
    const { code, err } = await segr1(['pipeline', stubPipeline('[{ rows: { cuont: 2 } }, thnik]'), '--check']);
    expect(err).toMatch(/^\S+stub-stages\.mjs {2}unchecked: .*; the module was not run; way out: --run-modules\n$/);
    expect(code).toBe(0);
  });

  it('takes --run-modules beside --check alone', async () => {
    const alone = await segr1(['pipeline', stubPipeline('[rows]'), '--run-modules']);
    expect([alone.code, alone.err]).toEqual([
      2,
      '--run-modules: expected --check beside it; got none; way out: a run runs them anyway\n',
    ]);
  });

  it('says beside the checked pipeline what is worth a word', async () => {
    const { code, out, err } = await segr1([
      'pipeline',
      stubPipeline('[{ rows: { count: 2 } }, { doubt: { every: 4, onPurpose: true } }]'),
      '--check',
      '--run-modules',
    ]);
    expect([code, err]).toEqual([0, 'doubt  doubts one of 4 rows\nrows     2\n']);
    expect(out).not.toContain('doubts one');
  });

  it.each([
    ['an unknown pipeline', ['trian'], 'no pipeline is called "trian"; known: '],
    [
      'a wrong override',
      ['STUB', '--set', 'rows.cuont=3'],
      '--set rows.cuont=3  rows has no option "cuont"; known: count; nearest: count',
    ],
    [
      'an override of another stage',
      ['STUB', '--set', 'rollout.group=16'],
      'this pipeline has no stage and no key "rollout"',
    ],
    ['an unknown flag', ['STUB', '--chekc'], '--pipelines; got --chekc; did you mean: --check'],
    ['no steps', ['STUB', '--max-steps', '0'], '--max-steps: expected a whole number of at least 1; got "0"'],
    ['two folders', ['STUB', '--run', 'a', '--run', 'b'], '--run: expected it once; got ["a","b"]'],
    [
      'a used folder',
      ['STUB', '--run', '/'],
      'run: expected a new or empty folder; got one with files in it; way out: another --run',
    ],
  ])('ends with 2 for %s', async (_, args, message) => {
    const { code, err, out } = await segr1([
      'pipeline',
      ...args.map((arg) => (arg === 'STUB' ? stubPipeline('[rows, guess]') : arg)),
    ]);
    expect(err).toContain(message);
    expect([code, out]).toEqual([2, '']);
  });

  it('names file, line and column of every mistake', async () => {
    const { code, err } = await segr1(['pipeline', stubPipeline('[{ rows: { count: none } }, thnik]')]);
    expect(code).toBe(2);
    expect(err).toMatch(/stub\.yaml:3:27 {2}rows\.count: expected a number.*\n.*stub\.yaml:3:37 {2}no stage .*"thnik"/);
    expect(err.trim().split('\n')).toHaveLength(2);
  });

  it('runs modules once all else is right', async () => {
    const first = await segr1(['pipeline', stubPipeline('[{ rows: { count: none } }, thnik]', 'sede: 1')]);
    expect(first.err).toMatch(/^\S+stub\.yaml:2:1 {2}pipeline has no option "sede".*\n$/);
  });

  it('ends with 1 for what fails on the way, after the summary', async () => {
    const { code, err, out } = await segr1(['pipeline', stubPipeline('[rows, { fail: { at: 2 } }]')]);
    expect([code, err]).toEqual([1, 'e0/2/stub  fail: expected luck; got none\n']);
    expect(out).toMatch(/^rows {5}\d+ in, 2 out$/m);
  });

  it('notices that nothing goes on any more', async () => {
    const { code, err } = await segr1([
      'pipeline',
      stubPipeline('[{ rows: { count: 100 } }, guess, drop]', 'window: 4'),
    ]);
    expect(code).toBe(1);
    expect(err).toContain(
      'rows: expected them to go on; got nothing running, with a window of 4: drop took 10 and gave 6; way out',
    );
  });

  it('stops after so many steps', async () => {
    const { code, out } = await segr1(['pipeline', stubPipeline(ENDLESS), '--max-steps', '2']);
    expect(code).toBe(0);
    expect(out).toMatch(/^stopped {2}as many steps as were asked for$/m);
  });
});

describe.each(['SIGINT', 'SIGTERM'] as const)('%s', (name) => {
  it('lets rows in flight out and ends with 130', async () => {
    let sent = false;
    const { code, out, err } = await segr1(['pipeline', stubPipeline(ENDLESS)], (text, child) => {
      if (!sent && text.includes('step 1')) sent = child.kill(name);
    });
    expect([code, err]).toEqual([130, 'finishing what is in flight; once more ends at once\n']);
    const [, rowsIn, rowsOut] = /^rows {5}(\d+) in, (\d+) out$/m.exec(out) ?? [];
    expect(Number(rowsIn)).toBeGreaterThan(0);
    expect(rowsOut).toBe(rowsIn);
  });

  it('ends at once the second time', async () => {
    const slow = ENDLESS.replace('delay: 20', 'delay: 600000');
    let sent = 0;
    const { code, signal, out } = await segr1(['pipeline', stubPipeline(slow)], (text, child, err) => {
      if (sent === 0 && text.includes('stub:')) sent += Number(child.kill(name));
      if (sent === 1 && err.includes('once more ends at once')) sent += Number(child.kill(name));
    });
    // Ended by SIGINT, which a shell shows as 130.
    expect([code, signal]).toEqual([null, 'SIGINT']);
    expect(out).not.toMatch(/^rows /m);
  });
});

describe('segr1 stages', () => {
  it('lists stages with columns, options and defaults', async () => {
    const { code, out } = await segr1(['stages']);
    expect(code).toBe(0);
    expect(out).toMatch(/^mask {2}needs image, prompts {2}adds masks {2}uses segmenter$/m);
    expect(out).toMatch(/^ {2}inflight +integer, 2$/m);
  });

  it('gives JSON Schema', async () => {
    const { out } = await segr1(['stages', '--json']);
    expect(JSON.parse(out)).toMatchObject({
      pipeline: { properties: { seed: { default: 0 } } },
      stages: { mask: { needs: ['image', 'prompts'], options: { type: 'object' } } },
    });
  });
});

describe('segr1', () => {
  it.each([[[]], [['trian']], [['pipeline']]])('ends with 2 for %j', async (args) => {
    const { code, err } = await segr1(args);
    expect(code).toBe(2);
    expect(err).toContain('segr1');
  });
});
