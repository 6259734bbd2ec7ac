import { execFile, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { describe, expect, it, onTestFinished } from 'vitest';

import { readRows } from '../../src/io/arrow/shard.js';
import { folder } from '../pipelines/files.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** What the script found, also where that is a difference, for which it ends with 1. */
async function rehearse(...args: string[]): Promise<unknown> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    join(root, 'scripts/kill-and-resume.mjs'),
    ...args,
  ]).catch((error: { readonly stdout: string }) => {
    if (error.stdout.trim() === '') throw error;
    return error;
  });
  return JSON.parse(stdout);
}

describe('a run that is killed', () => {
  it('comes to the same, bit by bit, where it is strictly on-policy', async () => {
    expect(await rehearse('--kills', '3', '--seed', '5', '--count', '16')).toMatchObject({
      same: { weights: true, average: true, optimizer: true, rows: true, metrics: true, tally: true, gain: true },
    });
  }, 300_000);

  it('loses and repeats no row where rollouts go on while the update runs', async () => {
    expect(await rehearse('--kills', '2', '--seed', '6', '--count', '16', '--window', '8')).toMatchObject({
      same: { ids: true },
    });
  }, 300_000);
});

const PIPELINE = `seed: 7
window: 8
policy:    { checkpoint: ${JSON.stringify(join(root, 'data/models/tiny'))}, workers: 2, threads: 1, batch: 4 }
segmenter: { kind: grabcut, size: 32 }
stages:
  - load:      { scenes: { count: 16 }, frame: 112 }
  - rollout:   { group: 2, maxTokens: 12 }
  - parse
  - mask
  - reward
  - advantage
  - update:    { groupsPerStep: 4 }
  - write
`;

function segr1(
  args: readonly string[],
  said: (line: string, child: ReturnType<typeof spawn>) => void = () => {},
): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'dist/cli.js'), 'pipeline', ...args], { cwd: folder().path });
    let [out, err, open] = ['', '', ''];
    child.stdout.on('data', (text: Buffer) => {
      out += text.toString();
      const lines = (open + text.toString()).split('\n');
      open = lines.pop() ?? '';
      for (const line of lines) said(line, child);
    });
    child.stderr.on('data', (text: Buffer) => (err += text.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

describe('a signal', () => {
  it.each([
    ['SIGTERM', 130],
    ['SIGHUP', 130],
  ] as const)(
    '%s finishes the step and writes it down, and the run goes on, with no row lost and none there twice',
    async (signal, code) => {
      const place = folder();
      const args = [place.file('small.yaml', PIPELINE), '--run', join(place.path, 'run')];
      const first = await segr1(args, (line, child) => void (line.startsWith('step 1 ') && child.kill(signal)));
      expect([first.code, first.err]).toEqual([code, 'finishing what is in flight; once more ends at once\n']);
      expect(first.out).toMatch(/^stopped {2}interrupted$/m);
      expect(readdirSync(join(place.path, 'run/checkpoints'))).toEqual([expect.stringMatching(/^step-[123]$/)]);

      const last = await segr1([...args, '--resume']);
      expect([last.code, last.err]).toEqual([0, '']);
      expect(last.out).toMatch(/^rows {5}16 in, 16 out$/m);
      const ids: string[] = [];
      for await (const { id } of readRows(join(place.path, 'run/rows'))) ids.push(id);
      expect([ids.length, new Set(ids).size]).toEqual([16, 16]);
      expect(readdirSync(join(place.path, 'run/checkpoints'))).toContain('step-4');
    },
    300_000,
  );
});

describe('two signals', () => {
  it.each([
    // A terminal that is closed may send it twice.
    ['SIGHUP', 'SIGHUP', [130, null]],
    ['SIGTERM', 'SIGHUP', [130, null]],
    ['SIGTERM', 'SIGTERM', [null, 'SIGINT']],
    ['SIGHUP', 'SIGINT', [null, 'SIGINT']],
  ] as const)('%s and %s', async (first, second, ended) => {
    const script = `import { onInterrupt } from ${JSON.stringify(join(root, 'dist/cli/interrupt.js'))};
      const release = onInterrupt(() => console.log('stopping'));
      const alive = setInterval(() => {}, 1000);
      process.stdin.once('data', () => (clearInterval(alive), release(), (process.exitCode = 130), process.stdin.destroy()));
      console.log('ready');`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script]);
    onTestFinished(() => void child.kill('SIGKILL'));
    child.stdout.on('data', (text: Buffer) => {
      if (text.toString().includes('ready')) child.kill(first);
      if (!text.toString().includes('stopping')) return;
      child.kill(second);
      // The second SIGHUP is nothing; the program ends when its work does.
      if (second === 'SIGHUP') child.stdin.end('done');
    });
    const closed = new Promise((resolve) => child.on('close', (code, signal) => resolve([code, signal])));
    expect(await closed).toEqual(ended);
  });
});

/** A server that leaves the question of that number, from 1, without an answer. */
async function chatServer(silent: number, met: () => void): Promise<{ url: string; asked: () => number }> {
  let asked = 0;
  const answer = (to: ServerResponse): unknown =>
    to.end(JSON.stringify({ choices: [{ message: { content: `thought ${asked}` }, finish_reason: 'stop' }] }));
  const server = createServer((from, to) => {
    from.resume();
    from.on('end', () => (++asked === silent ? met() : answer(to)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, asked: () => asked };
}

describe('thoughts that a server was asked for', () => {
  it.each([
    ['SIGKILL', null],
    ['SIGTERM', 130],
  ] as const)(
    'are not asked for again behind %s',
    async (signal, code) => {
      const place = folder();
      let child: ReturnType<typeof spawn> | undefined;
      const server = await chatServer(4, () => child?.kill(signal));
      const stages = `[load: { scenes: { count: 6 }, frame: 64 }, fit: { maxClicks: 1 }, think: { endpoint: { url: "${server.url}", model: m, inflight: 1 } }, write]`;
      const args = [
        place.file('thoughts.yaml', `seed: 7\nsegmenter: { kind: grabcut, size: 32 }\nstages: ${stages}\n`),
        '--run',
        join(place.path, 'run'),
      ];
      const first = await segr1(args, (_, running) => (child = running));
      expect([first.code, server.asked()]).toEqual([code, 4]);

      const last = await segr1([...args, '--resume']);
      expect([last.code, last.err, server.asked()]).toEqual([0, '', 4 + 3]);
      const thoughts: unknown[] = [];
      for await (const { thinking } of readRows(join(place.path, 'run/rows'))) thoughts.push(thinking);
      expect(thoughts).toEqual([1, 2, 3, 5, 6, 7].map((n) => `<think> thought ${n} </think>`));

      const again = await segr1([...args, '--resume']);
      expect([again.code, server.asked()]).toEqual([0, 7]);
      expect(again.out).toContain('resume: the run has come to its end; nothing of it is run again');
    },
    300_000,
  );
});

describe('SIGINT in an evaluation', () => {
  it('cuts it off and writes the step down, and the run makes up for it', async () => {
    const place = folder();
    const [own] = PIPELINE.split('stages:');
    const judge = `judge:\n  stages:\n    - load: { scenes: { count: 40, seed: 9 }, frame: 112, shuffle: false }\n    - rollout: { group: 1, temperature: 0, maxTokens: 12 }\n    - parse\n    - mask\n    - reward\n    - tally: { constantBaseline: 1 }\n  window: 4\n  ${own?.split('\n').find((line) => line.startsWith('segmenter'))}\n`;
    const learn = `learn:\n${`${PIPELINE}evaluate: { pipeline: judge, every: 1 }\n`.replaceAll(/^(?=.)/gm, '  ')}`;
    const args = [place.file('small.yaml', learn + judge), '--run', join(place.path, 'run'), '--max-steps', '1'];
    const first = await segr1(args, (line, child) => void (line.startsWith('step-1 ') && child.kill('SIGINT')));
    expect([first.code, first.err]).toEqual([130, 'finishing what is in flight; once more ends at once\n']);
    expect(readdirSync(join(place.path, 'run/checkpoints'))).toEqual(['step-1']);
    expect(readdirSync(join(place.path, 'run/evaluations/step-1'))).not.toContain('values.json');

    const last = await segr1([...args, '--resume']);
    expect([last.code, last.err]).toEqual([0, '']);
    expect(readdirSync(join(place.path, 'run/evaluations/step-1'))).toContain('values.json');
    expect(readdirSync(join(place.path, 'run'))).toContain('gain.md');
  }, 300_000);
});
