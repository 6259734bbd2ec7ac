import { describe, expect, it } from 'vitest';

import { rowSchema } from '../../../src/io/arrow/columns.js';

describe('rowSchema', () => {
  it('names the features as datasets spells them', () => {
    const { metadata, fields } = rowSchema(['iou'], { seed: '7' });
    const { features } = JSON.parse(metadata.get('huggingface') ?? '').info;
    expect(Object.keys(features)).toEqual(fields.map(({ name }) => name));
    expect(features).toMatchObject({
      id: { dtype: 'string', _type: 'Value' },
      step: { dtype: 'int32', _type: 'Value' },
      log_probs: {
        feature: { feature: { dtype: 'float32', _type: 'Value' }, length: -1, _type: 'List' },
        length: -1,
        _type: 'List',
      },
      truth: {
        size: { feature: { dtype: 'int32', _type: 'Value' }, length: 2, _type: 'List' },
        counts: { dtype: 'binary', _type: 'Value' },
      },
      reward_iou: { feature: { dtype: 'float32', _type: 'Value' }, length: -1, _type: 'List' },
      task: { dtype: 'string', _type: 'Value' },
      seed: { dtype: 'int64', _type: 'Value' },
      prompts: {
        feature: {
          frame: { feature: { dtype: 'int32', _type: 'Value' }, length: 2, _type: 'List' },
          objects: {
            feature: { box: { length: 4 }, points: { feature: { x: { dtype: 'int32' }, label: { dtype: 'int32' } } } },
          },
        },
      },
    });
    expect([metadata.get('seed'), metadata.get('schema_version')]).toEqual(['7', '2']);
  });
});
