import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';

import { folder } from '../pipelines/files.js';

const root = join(import.meta.dirname, '../..');
const KEY = 'sk-S3CR3T-0123456789';

it('leaves a key that the server repeats in no file of the run, and not on the terminal', async () => {
  let asked = 0;
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      const told = String(request.headers.authorization);
      // A refusal, an answer that holds it, an answer, a redirect.
      const replies = [
        () => response.writeHead(401).end(`invalid: ${told}`),
        () => response.end(JSON.stringify({ choices: [{ message: { content: told } }] })),
        () => response.end(JSON.stringify({ choices: [{ message: { content: 'so' } }], key: told })),
        () => response.writeHead(302, { location: `/${encodeURIComponent(told)}` }).end(),
      ];
      replies[asked++ % replies.length]();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const place = folder();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const file = place.file(
    'p.yaml',
    `tolerate: 9\nsegmenter: { kind: grabcut, size: 32 }\nstages: [load: { scenes: { count: 4 }, frame: 64 }, fit: { tried: false, maxClicks: 1 }, think: { endpoint: { url: "${url}", model: m, key: OUR_KEY, retries: 0 } }, write]\n`,
  );
  const run = join(place.path, 'run');
  const told = await new Promise<string>((resolve, reject) => {
    const env = { ...process.env, OUR_KEY: KEY };
    execFile(
      process.execPath,
      [join(root, 'dist/cli.js'), 'pipeline', file, '--run', run],
      { env },
      (error, out, err) => (error ? reject(error) : resolve(out + err)),
    );
  });
  expect(asked).toBe(4);
  expect(told).toContain('[key]');
  const files = readdirSync(run, { recursive: true, encoding: 'utf8' }).map((name) => join(run, name));
  const texts = files.filter((path) => statSync(path).isFile()).map((path) => readFileSync(path, 'latin1'));
  expect(texts.length).toBeGreaterThan(4);
  for (const text of [told, ...texts]) expect(text).not.toMatch(/S3CR3T|0123456789/);
}, 60_000);
