import { workerData } from 'node:worker_threads';

import type { ThreadData } from './session.js';
import { SessionHost } from './session-host.js';
import { serve } from '../../workers.js';

const { threads, device, libraries, users } = workerData as ThreadData;

/** Only what the device needs is loaded. */
async function openHost(): Promise<SessionHost<unknown>> {
  if (libraries === undefined) return new SessionHost((await import('./node-runtime.js')).nodeRuntime(threads));
  const { nativeRuntime } = await import('./native/runtime.js');
  const options = { ...device, threads: device.kind === 'cuda' ? 1 : threads };
  return new SessionHost(nativeRuntime({ ...options, provider: device.kind, libraries, users }));
}

const host = openHost();
// An error at the start is every job's result.
host.catch(() => {});

serve(async (job: Parameters<SessionHost<unknown>['handle']>[0]) => (await host).handle(job));
