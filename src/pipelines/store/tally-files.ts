import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { encodePng } from '../../io/image.js';
import { replaceJson } from '../../io/manifest.js';
import { writeWhole } from '../../io/whole-file.js';
import type { Panel } from '../../operators/scoring/gallery.js';
import type { Tally } from '../../operators/tally.js';
import { markdown } from '../../report/table.js';
import { gainTable } from '../../report/tally-table.js';
import type { GainEvent } from '../events.js';

/** Puts what training changed into the run's folder: `gain.json` and `gain.md`. */
export function writeGain(root: string, gain: Omit<GainEvent, 'kind'>): void {
  writeJson(join(root, 'gain.json'), gain);
  writeWhole(join(root, 'gain.md'), markdown(`${gain.name}: before and after`, gainTable(gain)));
}

/** By row, what it came to. */
export type Values = ReadonlyMap<string, Readonly<Record<string, number>>>;

/** What a policy was worth: in all, and row by row. */
export interface Judged {
  readonly tally: Tally;
  readonly rows: Values;
}

const JUDGED = 'values.json';

/** Keeps a judgement in the folder of its run, so that it need not be made again. */
export async function writeJudged(folder: string, { tally, rows }: Judged): Promise<void> {
  await replaceJson(join(folder, JUDGED), { tally, rows: [...rows] });
}

/** What `writeJudged` kept; undefined where it kept nothing. */
export function readJudged(folder: string): Judged | undefined {
  const file = join(folder, JUDGED);
  if (!existsSync(file)) return undefined;
  // JSON has null for NaN, and nothing else of it is null.
  const { tally, rows } = JSON.parse(readFileSync(file, 'utf8'), (_, value: unknown) => value ?? NaN) as {
    tally: Tally;
    rows: [string, Record<string, number>][];
  };
  return { tally, rows: new Map(rows) };
}

/** Puts panels into `overlays` as PNG, and what each is into its `index.json`. */
export async function writePanels(root: string, panels: readonly Panel[]): Promise<void> {
  const folder = join(root, 'overlays');
  mkdirSync(folder, { recursive: true });
  for (const { name, image } of panels) writeWhole(join(folder, `${name}.png`), await encodePng(image));
  writeJson(
    join(folder, 'index.json'),
    panels.map(({ name, id, worth }) => ({ file: `${name}.png`, id, reward: worth })),
  );
}

function writeJson(file: string, value: unknown): void {
  writeWhole(file, `${JSON.stringify(value, null, 2)}\n`);
}
