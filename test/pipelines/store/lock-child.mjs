// Takes the lock of `root` at the moment told, and keeps it until told to let go.
import { lockRun } from '../../../dist/pipelines/store/lock.js';

let release;
process.on('message', ({ at, root }) => {
  if (root === undefined) {
    release?.();
    release = undefined;
    process.send('free');
    return;
  }
  while (Date.now() < at);
  try {
    release = lockRun(root);
  } catch {}
  process.send(release ? 'got' : 'refused');
});
process.send('ready');
