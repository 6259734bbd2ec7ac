import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

import { readPipeline } from '../../../src/pipelines/config/read.js';

const pipelinesFile = fileURLToPath(new URL('../../../pipelines.yaml', import.meta.url));
const shipped = Object.keys(parse(readFileSync(pipelinesFile, 'utf8')) as object);

describe('pipelines.yaml', () => {
  it('ships the pipelines that the documentation names', () => {
    expect(shipped).toEqual(expect.arrayContaining(['train', 'evaluate', 'fit', 'sft', 'pretrain', 'finetune']));
  });

  it.each(shipped)('%s passes every check', async (name) => {
    expect((await readPipeline(name, { pipelinesFile })).name).toBe(name);
  });
});
