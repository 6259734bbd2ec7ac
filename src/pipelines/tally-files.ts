import { mkdirSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { encodePng } from '../io/image.js';
import type { Panel } from '../operators/gallery.js';
import type { GainReport } from './report.js';
import { gainTable, markdown } from './tally-table.js';

/** Puts what training changed into the run's folder: `gain.json` and `gain.md`. */
export function writeGain(root: string, gain: Omit<GainReport, 'kind'>): void {
  writeJson(join(root, 'gain.json'), gain);
  writeFileSync(join(root, 'gain.md'), markdown(`${gain.name}: before and after`, gainTable(gain)));
}

/** Puts panels into `overlays` as PNG, and what each is into its `index.json`. */
export async function writePanels(root: string, panels: readonly Panel[]): Promise<void> {
  const folder = join(root, 'overlays');
  mkdirSync(folder, { recursive: true });
  for (const { name, image } of panels) await writeFile(join(folder, `${name}.png`), await encodePng(image));
  writeJson(join(folder, 'index.json'), panels.map(({ name, id, worth }) => ({ file: `${name}.png`, id, reward: worth })));
}

function writeJson(file: string, value: unknown): void {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}
