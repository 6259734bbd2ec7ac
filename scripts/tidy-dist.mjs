/**
 * usage: node scripts/tidy-dist.mjs      (part of npm run build, after the compiler)
 * Removes from dist what no file of src makes any more, so that it is neither run nor packed.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [src, dist] = ['src', 'dist'].map((name) => fileURLToPath(new URL(`../${name}`, import.meta.url)));

for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true }).reverse()) {
  const path = join(entry.parentPath, entry.name);
  const source = join(src, path.slice(dist.length)).replace(/(\.d\.ts|\.js|\.js\.map)$/, '.ts');
  if (existsSync(path) && !existsSync(source)) rmSync(path, { recursive: true });
}
