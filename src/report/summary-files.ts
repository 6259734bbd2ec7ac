import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { encodePng } from '../io/image.js';
import { noRoom, writeWhole } from '../io/whole-file.js';
import type { Panel } from '../operators/scoring/gallery.js';
import type { Scores } from '../operators/score.js';
import { itemValues, type ScoredItem } from '../operators/scoring/score-summary.js';
import type { Tally } from '../operators/tally.js';
import { latex } from './latex.js';
import { page, type Picture } from './page.js';
import { BESIDE, paperTable } from './paper-table.js';
import { scoreTable, setLine } from './score-table.js';
import { markdown, markdownTable } from './table.js';
import { tallyTable } from './tally-table.js';

/** What is known of a run once its rows have passed. */
export interface RunSummary {
  readonly tally?: Tally;
  readonly scores?: Scores;
  readonly gallery?: readonly Picture[];
}

/**
 * Puts what a run came to into its folder: `summary.json` for programs, `summary.md` for people, and of scores also
 * `summary.tex` and `report.html`.
 */
export function writeSummary(root: string, name: string, { tally, scores, gallery = [] }: RunSummary): void {
  writeWhole(join(root, 'summary.json'), `${JSON.stringify({ name, ...tally, ...scores }, null, 2)}\n`);
  const counted = tally && tallyTable(tally);
  const parts = [
    ...(counted ? [markdown(name, counted)] : [`# ${name}\n`]),
    ...(scores ? scoreParts(name, scores) : []),
  ];
  writeWhole(join(root, 'summary.md'), parts.join('\n'));
  if (!scores) return;
  writeWhole(join(root, 'summary.tex'), latex(name, scores));
  writeWhole(
    join(root, 'report.html'),
    page({ name, scores, gallery, tables: counted ? { 'Rewards and answers': counted } : {} }),
  );
}

/** The scores in Markdown, set by set. */
function scoreParts(name: string, { sets, protocol, defects, unscored }: Scores): string[] {
  const legacy =
    protocol === 'legacy'
      ? `Protocol \`legacy\`, with the defects of Seg-R1’s released evaluation:\n\n${defects.map((defect) => `* ${defect}\n`).join('')}`
      : '';
  const left = unscored > 0 ? `${unscored} marked rows are in no number.\n` : '';
  const each = sets.flatMap((set) => {
    const paper = paperTable(set.set, [{ name, protocol, metrics: set.metrics }]);
    return [
      `## ${set.set}\n`,
      `${setLine(set, protocol)}.\n`,
      markdownTable(scoreTable(set, Object.keys(set.metrics))),
      ...(paper ? [`${BESIDE}\n`, markdownTable(paper)] : []),
    ];
  });
  return [legacy, left, ...each].filter((part) => part !== '');
}

/** Puts each item's numbers into `scores.jsonl`, a line an item: by these runs are compared. */
export async function writeItems(root: string, items: readonly ScoredItem[]): Promise<void> {
  const lines = function* (): Generator<string> {
    for (const { id, set, unit, judged, answer } of items)
      yield `${JSON.stringify({ id, set, unit, kind: judged.kind, values: { ...itemValues(judged), ...answer } })}\n`;
  };
  const file = join(root, 'scores.jsonl');
  await pipeline(Readable.from(lines()), createWriteStream(file)).catch(noRoom(file, 'scores'));
}

/** Puts panels into `gallery` as PNG. */
export async function writeGallery(root: string, panels: readonly Panel[]): Promise<Picture[]> {
  if (panels.length > 0) mkdirSync(join(root, 'gallery'), { recursive: true });
  for (const { name, image } of panels) writeWhole(join(root, 'gallery', `${name}.png`), await encodePng(image));
  return panels.map(({ name, id, worth, image: { width, height } }) => ({
    file: `gallery/${name}.png`,
    id,
    worth,
    width,
    height,
  }));
}
