import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { expect, it } from 'vitest';

import { onCpu, without } from './libraries.js';
import { loadApi } from '../../../../src/tensor/onnx/native/api.js';

it.skipIf(without !== '')(`the runtime's functions outlive a collection of garbage${without}`, async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const api = loadApi(onCpu);
  const options = api.make('CreateSessionOptions');
  for (let i = 0; i < 3; i++) {
    collect();
    await setImmediate();
  }
  api.call('SetInterOpNumThreads', options, 1);
  api.release('SessionOptions', options);
  expect(api.make('CreateSessionOptions')).toBeGreaterThan(0n);
});
