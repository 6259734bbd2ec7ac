import { existsSync, readdirSync } from 'node:fs';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { shown, withoutCredentials } from '../../../src/errors.js';
import { readPipeline } from '../../../src/pipelines/config/read.js';
import { folder, refusal } from '../files.js';

afterEach(() => vi.unstubAllEnvs());

const SECRET = 'hunter2-S3CR3T';
const thinking = (endpoint: string, more = ''): string =>
  `segmenter: { kind: grabcut }\n${more}stages: [load: { scenes: { count: 2 }, frame: 64 }, fit, think: { endpoint: ${endpoint} }, write]\n`;

/** What is said about a pipeline; nothing is made. */
async function said(text: string, set: readonly string[] = []): Promise<string> {
  const place = folder();
  const file = place.file('p.yaml', text);
  const lines = await refusal(readPipeline(file, { set }));
  expect(readdirSync(place.path)).toEqual(['p.yaml']);
  expect(existsSync('runs/p')).toBe(false);
  return lines;
}

describe('a key in a pipeline', () => {
  it.each([
    ['in the place of its name', thinking(`{ url: "http://h/v1", model: m, key: sk-${SECRET} }`), 'endpoint.key'],
    ['in a list', thinking(`{ url: "http://h/v1", model: m, key: [${SECRET}] }`), 'endpoint.key'],
    ['in capitals', thinking('{ url: "http://h/v1", model: m, key: S3CR3TKEY123 }'), 'endpoint.key'],
    ['in a map', thinking(`{ url: "http://h/v1", model: m, key: { value: ${SECRET} } }`), 'endpoint.key'],
    ['in the address', thinking(`{ url: "http://me:${SECRET}@h/v1", model: m }`), 'endpoint.url'],
    ['in its query', thinking(`{ url: "http://h/v1?key=${SECRET}", model: m }`), 'endpoint.url'],
    ['in an address of another kind', thinking(`{ url: "ftp://me:${SECRET}@h/v1", model: m }`), 'endpoint.url'],
    [
      'in a path',
      `policy: { checkpoint: "https://me:${SECRET}@h/model" }\nstages: [load: { scenes: { count: 2 }, frame: 64 }]\n`,
      'policy.checkpoint',
    ],
    ['for the whole endpoint', thinking(`"http://me:${SECRET}@h/v1"`), 'think.endpoint'],
    ['as a header', thinking(`{ url: "http://h/v1", model: m, headers: { authorization: "${SECRET}" } }`), 'headers'],
  ])('is refused, unrepeated: %s', async (_, text, where) => {
    const lines = await said(text);
    expect(lines).toContain(where);
    expect(lines).toMatch(/p\.yaml:\d+:\d+ {2}/);
    expect(lines).not.toMatch(/hunter2|S3CR3T/);
  });

  it.each([
    [`think.endpoint.key=sk-${SECRET}`],
    [`think.endpoint.url=http://me:${SECRET}@h/v1`],
    [`think.endpoint=${SECRET}`],
    [`think.endpoint.key=[${SECRET}`],
    [`nothing.key=${SECRET}`],
    [`seed=http://me:${SECRET}@h`],
  ])('is refused, unrepeated: --set %s', async (set) => {
    const lines = await said(thinking('{ url: "http://h/v1", model: m }'), [set]);
    expect(lines).toContain('--set ');
    expect(lines).not.toMatch(/hunter2|S3CR3T/);
  });

  it.each([['think.endpoint.model'], ['seed'], ['load.scenes.count'], ['nothing.here'], ['load.nothing']])(
    'is unrepeated, if it is what the variable holds: --set %s',
    async (option) => {
      vi.stubEnv('SEGR1_TEST_KEY', SECRET);
      const text = thinking('{ url: "http://h/v1", model: m, key: SEGR1_TEST_KEY }');
      const lines = await said(text, [`${option}=${SECRET}`, `fit.tried={a: ${SECRET}`]);
      expect(lines).toContain(`--set ${option}=[hidden]`);
      expect(lines).not.toMatch(/hunter2|S3CR3T/);
    },
  );

  it('is refused where it stands, if it is what the variable holds', async () => {
    vi.stubEnv('SEGR1_TEST_KEY', SECRET);
    const text = thinking('{ url: "http://h/v1", model: m, key: SEGR1_TEST_KEY }').replace(
      'model: m',
      `model: "m ${SECRET}"`,
    );
    const lines = await said(text);
    expect(lines).toBe(
      `p.yaml:2:${text.split('\n')[1].indexOf('"m ') + 1}  think.endpoint.model: expected no key or password, for a run keeps its pipeline; got what looks like one; way out: an environment variable that holds it`,
    );
  });

  it('is refused in the path of an address', async () => {
    vi.stubEnv('SEGR1_TEST_KEY', SECRET);
    const lines = await said(thinking(`{ url: "http://h/${SECRET}/v1", model: m, key: SEGR1_TEST_KEY }`));
    expect(lines).toMatch(/^p\.yaml:2:\d+ {2}think\.endpoint\.url: expected no key or password, /);
    expect(lines).not.toMatch(/hunter2|S3CR3T/);
  });

  it('is refused in options of a module of one’s own', async () => {
    const place = folder();
    place.file(
      'own.mjs',
      `const options = { safeParse: (data) => ({ success: true, data }) };
       export const own = { name: 'own', options, build: () => (rows) => rows };`,
    );
    const file = place.file(
      'p.yaml',
      `operators: [own.mjs]\nstages: [load: { scenes: { count: 2 }, frame: 64 }, own: { apiKey: ${SECRET}, key: difficulty, token: "<img>", password: OWN_PASSWORD, mirror: "https://me:${SECRET}@h" }]\n`,
    );
    const lines = (await refusal(readPipeline(file))).split('\n');
    expect(lines.map((line) => line.replace(/^.* {2}/, '').split(':')[0])).toEqual(['own.apiKey', 'own.mirror']);
    expect(lines.join()).not.toContain(SECRET);
  });
});

describe('withoutCredentials', () => {
  // The forms are those that the issuers document; the keys are made up.
  it.each([
    'sk-proj-abcdefghijklmnopqrstuvwxyz0123456789',
    'sk_live_abcdefghijklmnopqrstuvwx',
    'hf_abcdefghijklmnopqrstuvwxyzABCDEFGH',
    'ghp_abcdefghijklmnopqrstuvwxyz0123456789',
    'github_pat_11ABCDEFG0abcdefghijkl_mnop',
    'AKIAIOSFODNN7EXAMPLE',
    'AIzaSyA1234567890abcdefghijklmnopqrstuv',
    'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N',
  ])('hides %s', (key) => {
    expect(withoutCredentials(`got ${key}, so`)).toBe('got [hidden], so');
    expect(shown({ key })).toBe('{"key":"[hidden]"}');
  });

  it('hides name and password of an address, and no more of it', () => {
    expect(withoutCredentials('from https://me:pass@w0rd@host:8080/v1?a=b@c')).toBe(
      'from https://[hidden]@host:8080/v1?a=b@c',
    );
  });

  it.each([
    'photos/sk-camouflage-dataset-2024/images',
    'the flag bearer standing left',
    'hf_dataset_downloads',
    'me@example.org',
    'http://host/a@b',
    'models/Qwen2.5-VL-3B-Instruct',
  ])('leaves %s', (text) => expect(withoutCredentials(text)).toBe(text));
});
