import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { tableFromIPC } from 'apache-arrow';
import { beforeAll, describe, expect, it } from 'vitest';

import { readPipeline } from '../src/pipelines/config/read.js';
import { run } from '../src/pipelines/run/run.js';
import { fixturesFolder } from './golden/golden.js';
import { folder } from './pipelines/files.js';

const page = readFileSync(fileURLToPath(new URL('../docs/metrics.md', import.meta.url)), 'utf8');
const explained = page
  .split('\n')
  .flatMap((line) =>
    line.startsWith('| `') ? [...(line.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name) : [],
  );

const place = folder();
const policy = JSON.stringify(join(fixturesFolder(), 'policy/tiny-qwen2_5_vl-tied-bf16'));
const answered =
  '{ load: { scenes: { kind: pick, count: 4 }, frame: 56 } }, { rollout: { group: 2, maxTokens: 4 } }, parse, mask, reward';

/** Short runs that between them have every option on which a metric depends. */
const runs: Readonly<Record<string, string>> = {
  clipped: `${answered}, { tally: { constantBaseline: 1, shuffledImageBaseline: true } }, advantage, { update: { groupsPerStep: 2, kl: 0.04, correction: {}, offPolicy: 1 } }`,
  cispo: `${answered}, advantage, { update: { groupsPerStep: 4, objective: cispo } }`,
  vespo: `${answered}, advantage, { update: { groupsPerStep: 4, objective: vespo } }`,
  sft: '{ load: { scenes: { kind: main, count: 2 }, frame: 56 } }, fit, { sft: { rowsPerStep: 2, patchMask: 1 } }',
};

/** Columns of a run's table but for which step it is and when, and what its tally is of. */
async function namesOf(name: string): Promise<string[]> {
  const text = `window: 4\npolicy: { checkpoint: ${policy} }\nsegmenter: { kind: grabcut, size: 32 }\nstages: [${runs[name]}]\n`;
  const root = join(place.path, name);
  await run(await readPipeline(place.file(`${name}.yaml`, text)), { folder: root });
  const columns = tableFromIPC(readFileSync(join(root, 'metrics/metrics.arrow')))
    .schema.fields.map((field) => field.name)
    .slice(2);
  return runs[name]?.includes('tally')
    ? [
        ...columns,
        ...Object.keys((JSON.parse(readFileSync(join(root, 'summary.json'), 'utf8')) as { metrics: object }).metrics),
      ]
    : columns;
}

/** As the page has it: parts of the reward, stages and reasons have no names of their own there. */
function general(name: string): string {
  return name
    .replace(/^(rewards)\/[^/]+\//, '$1/NAME/')
    .replace(/^(seconds|blocked|queue)\/.+$/, '$1/STAGE')
    .replace(/^parse\/.+$/, 'parse/REASON');
}

describe('docs/metrics.md', () => {
  const found: Record<string, string[]> = {};
  beforeAll(async () => {
    for (const name of Object.keys(runs)) found[name] = await namesOf(name);
  });

  it.each(Object.keys(runs))('explains every metric of a run: %s', (name) => {
    expect(found[name]?.length).toBeGreaterThan(9);
    expect(found[name]?.map(general).filter((metric) => !explained.includes(metric))).toEqual([]);
  });

  it('explains none that cannot occur, and each once', () => {
    expect(explained.toSorted()).toEqual([...new Set(Object.values(found).flat().map(general))].toSorted());
  });
});
