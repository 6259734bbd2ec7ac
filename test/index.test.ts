import { map, type Observable } from 'rxjs';
import * as built from 'segr1';
import { describe, expect, expectTypeOf, it } from 'vitest';

import * as segr1 from '../src/index.js';

describe('segr1', () => {
  it('exports these names', () => {
    expect(Object.keys(segr1).toSorted()).toEqual([
      'DataError',
      'ModelError',
      'UsageError',
      'advantage',
      'answer',
      'benchmarkResult',
      'bnpo',
      'bootstrap',
      'cispo',
      'column',
      'compareResults',
      'compose',
      'correctionEffort',
      'credits',
      'dapo',
      'defineSegmenter',
      'drGrpo',
      'fit',
      'foregroundOverSet',
      'grpo',
      'gspo',
      'imageReader',
      'iou',
      'load',
      'luspo',
      'markNonFinite',
      'mask',
      'openGrabCut',
      'openPolicy',
      'openQwen',
      'openSam2',
      'openScorer',
      'openShards',
      'ops',
      'overSet',
      'parse',
      'patchMaskHead',
      'readAnswer',
      'readBenchmark',
      'readPipeline',
      'readPrompt',
      'readRows',
      'recoverRows',
      'referringScores',
      'released',
      'replay',
      'reward',
      'rollout',
      'rowSchema',
      'run',
      'saliency',
      'sapo',
      'score',
      'scoreForeground',
      'scoreReferring',
      'segR1',
      'sft',
      'stage',
      'structureMeasure',
      'tally',
      'think',
      'update',
      'vespo',
      'write',
    ]);
  });

  it('is what importing the package by its name gives', () => {
    expect(Object.keys(built).toSorted()).toEqual(Object.keys(segr1).toSorted());
  });

  it('composes with an operator of one’s own, row types widening on the way', () => {
    const compose = (
      read: segr1.ReadImage,
      segmenter: segr1.Segmenter,
      policy: segr1.QwenPolicy,
      window: segr1.Credits,
    ) =>
      segr1.load({ readImage: read, window }, { scenes: { count: 1 }, frame: 112 }).pipe(
        segr1.rollout({ policy, readImage: read, seed: 7 }),
        segr1.parse(),
        segr1.mask({ segmenter, readImage: read }),
        map((row) => ({ ...row, found: row.masks.filter((it) => it !== null).length })),
        segr1.reward(),
        segr1.advantage(),
        segr1.update({ policy, readImage: read, temperature: 1, report: () => {} }),
        segr1.released(window),
      );
    expectTypeOf(compose).returns.toExtend<Observable<segr1.Updated & { found: number }>>();
  });
});
