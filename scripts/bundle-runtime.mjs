/**
 * usage: node scripts/bundle-runtime.mjs      (part of npm run build)
 * Readies onnxruntime-node for the package, which bundles it: takes its install script away.
 *
 * That script fetches the CUDA provider (250 MB), asked or not, from a host that is no package registry; without that
 * host the install of segr1 would fail. `segr1 gpu install` fetches the provider where it is wanted.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../node_modules/onnxruntime-node/package.json', import.meta.url);
const { scripts, ...kept } = JSON.parse(readFileSync(file, 'utf8'));
if (scripts !== undefined) writeFileSync(file, `${JSON.stringify(kept, null, 2)}\n`);
