import { threadId, workerData } from 'node:worker_threads';

import { serve } from '../dist/workers.js';

if (workerData === 'broken') throw new Error('cannot load');

serve(async ({ say, wait = 0, fail, exit }) => {
  if (exit !== undefined) process.exit(exit);
  await new Promise((resolve) => setTimeout(resolve, wait));
  if (fail) throw new Error(fail);
  return { answer: { say, threadId } };
});
