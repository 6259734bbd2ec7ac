import { chmodSync } from 'node:fs';
import { join } from 'node:path';

import { folder } from '../pipelines/files.js';
import { put } from './machines.js';
import { wheelFiles, writeWheel } from './wheels.js';

/**
 * A program that is called as `python -m pip` is, and copies wheels out of a folder; it hangs at the requirement that
 * begins with `hang`.
 */
export function madePython({
  wheels = wheelFiles(),
  hang = 'none',
  says = 'ERROR: No matching distribution found for it',
} = {}): string {
  const { path } = folder();
  for (const [name, { version, files }] of Object.entries(wheels)) writeWheel(path, name, version, files);
  const text = `#!/usr/bin/env node
const { appendFileSync, copyFileSync, readdirSync } = require('node:fs');
const { join } = require('node:path');
const args = process.argv.slice(2);
appendFileSync(${JSON.stringify(join(path, 'calls'))}, JSON.stringify({ args, temporary: process.env.TMPDIR }) + '\\n');
if (args[2] === '--version') { console.log('pip 26.0'); process.exit(0); }
const to = args[args.indexOf('--dest') + 1], requirement = args.at(-1);
if (requirement.startsWith(${JSON.stringify(hang)})) setInterval(() => {}, 1000);
else {
  const wheel = readdirSync(${JSON.stringify(path)}).find((name) => name.startsWith(requirement.match(/^[\\w-]+/)[0].replaceAll('-', '_') + '-'));
  if (!wheel) { console.error('WARNING: retrying\\n' + ${JSON.stringify(says)} + '\\n'); process.exit(1); }
  copyFileSync(join(${JSON.stringify(path)}, wheel), join(to, wheel));
}
`;
  put(path, { python: text });
  chmodSync(join(path, 'python'), 0o755);
  return join(path, 'python');
}
