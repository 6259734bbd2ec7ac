import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';

import { readPipeline } from '../src/pipelines/config/read.js';
import { stageEntries } from '../src/pipelines/config/overrides.js';
import { Settings } from '../src/pipelines/settings.js';
import { pipelineContext } from '../src/pipelines/stage.js';
import { stages } from '../src/pipelines/stages/table.js';

const ROOT = fileURLToPath(new URL('../recipes/', import.meta.url));
// benchmarks.yaml holds several pipelines by name.
const files = readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter(
  (name) => name.endsWith('.yaml') && name !== 'benchmarks.yaml',
);

type Recipe = Readonly<Record<string, unknown>> & { readonly stages: readonly unknown[] };

/** Each pipeline of each file: how it is called, its map, and what is read to have it checked. */
const recipes = files.flatMap((name) => {
  const file = join(ROOT, name);
  const map = parseDocument(readFileSync(file, 'utf8')).toJS() as Record<string, unknown>;
  if ('stages' in map) return [{ label: name, map: map as Recipe, check: () => readPipeline(file) }];
  return Object.entries(map).map(([each, own]) => ({
    label: `${name}: ${each}`,
    map: own as Recipe,
    check: () => readPipeline(each, { pipelinesFile: file }),
  }));
});

/** What a recipe is refused for on a machine without its data and weights. */
async function complaints(check: () => Promise<unknown>): Promise<string[]> {
  try {
    await check();
    return [];
  } catch (error) {
    return (error as Error).message.split('\n');
  }
}

describe.each(recipes)('$label', ({ map, check }) => {
  it('lacks nothing but files', async () => {
    const others = (await complaints(check)).filter(
      (line) => !/: expected a file or folder; got ".*", and .* is not there(, in .*)?(; nearest: .*)?$/.test(line),
    );
    expect(others).toEqual([]);
  });

  it('keeps the rules between its stages', () => {
    const { stages: own, ...settings } = map;
    const entries = stageEntries(own).flatMap(([name, options]) => {
      const stage = stages.get(name);
      return stage ? [{ name, stage, options: stage.options.parse(options) }] : [];
    });
    const around = pipelineContext(Settings.parse(settings), entries);
    // What load finds wrong is that its folders are not there.
    expect(entries.slice(1).flatMap(({ stage, options }) => stage.rules?.(options, around) ?? [])).toEqual([]);
  });
});

it('there is every stage of both sizes', () => {
  const names = ['evaluate', 'finetune', 'fit', 'pretrain', 'sft', 'train'];
  expect(files).toEqual(
    expect.arrayContaining(
      ['3b', '7b'].flatMap((size) => names.map((stage) => join(`seg-r1-${size}`, `${stage}.yaml`))),
    ),
  );
});
