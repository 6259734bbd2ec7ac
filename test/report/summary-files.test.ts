import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { scoreForeground, type GrayMap } from '../../src/operators/scoring/score-foreground.js';
import { summarised, type ScoredItem } from '../../src/operators/scoring/score-summary.js';
import { defectsOf } from '../../src/operators/scoring/protocol.js';
import type { Scores } from '../../src/operators/score.js';
import { writeGallery, writeItems, writeSummary } from '../../src/report/summary-files.js';
import { RunFolder } from '../../src/pipelines/store/run-folder.js';
import { folder } from '../pipelines/files.js';

const size = { width: 8, height: 6 };
const half = (from: number): GrayMap => ({
  ...size,
  data: Uint8Array.from({ length: 48 }, (_, i) => (i % 8 >= from ? 255 : 0)),
});
const seen = (id: string, from: number): ScoredItem => ({
  id,
  set: 'cod10k/test',
  unit: id,
  judged: { kind: 'foreground', foreground: scoreForeground(half(from), half(4)) },
  answer: { 'answer/unparsed': 0 },
});
const asked = (id: string, hits: number): ScoredItem => {
  const whole = { hits, falseAlarms: 1, objectPixels: 4, pixels: 48 };
  return {
    id,
    set: 'refcoco/testA',
    unit: 'one.jpg',
    judged: { kind: 'referring', sample: { whole, heeded: whole } },
    answer: { 'answer/unparsed': 0 },
  };
};
const items = [seen('<a>', 4), seen('b', 3), asked('c', 4), asked('d', 0)];
const defects = defectsOf(['foreground', 'reason-phrase']);
const scores: Scores = { protocol: 'legacy', defects, unscored: 1, sets: summarised(items, 1) };

describe('the files of a summary', () => {
  const { path } = folder();
  const files = new RunFolder(path);
  const text = (name: string): string => readFileSync(join(path, name), 'utf8');
  beforeAll(async () => {
    await writeItems(files, items);
    const gallery = await writeGallery(files, [
      { name: 'best-1', id: '<a>', worth: 1, image: { width: 2, height: 1, data: new Uint8Array(6) } },
    ]);
    writeSummary(files, 'my_run & <others>', { scores, gallery });
  });

  it('are these', () =>
    expect(readdirSync(path).toSorted()).toEqual([
      'gallery',
      'report.html',
      'scores.jsonl',
      'summary.json',
      'summary.md',
      'summary.tex',
    ]));

  it('say the same to programs, with null for what is no number', () => {
    const { sets } = JSON.parse(text('summary.json')) as {
      sets: { set: string; n: number; metrics: Record<string, { value: number | null }> }[];
    };
    expect(sets.map(({ set, n }) => [set, n])).toEqual([
      ['cod10k/test', 2],
      ['refcoco/testA', 2],
    ]);
    expect(sets[1].metrics['seg_r1/N-acc'].value).toBeNull();
    // 4 of 5 pixels, and 0 of 5.
    expect(sets[1].metrics['seg_r1/cIoU'].value).toBeCloseTo(4 / 10, 8);
    const lines = text('scores.jsonl')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string; values: Record<string, number> });
    expect(lines.map(({ id }) => id)).toEqual(['<a>', 'b', 'c', 'd']);
    expect(lines[0].values).toMatchObject({
      structure: expect.closeTo(1, 6) as number,
      'iou/binary': 1,
      'answer/unparsed': 0,
    });
  });

  it('name each metric with its variant, its interval and the defects, beside the paper', () => {
    expect(text('summary.md')).toMatch(
      /^\| gIoU ↑ \| ignored pixels are background, both empty earns 0 \(Seg-R1\) \| \.400 \| \.400 to \.400 \| 2 \|$/m,
    );
    expect(text('summary.md')).toMatch(/^\| Seg-R1-7B \| \.873 \| \.820 \| \.926 \| \.031 \|$/m);
    expect(text('summary.md')).toMatch(/^\| my_run & \\<others> \| 40\.0 \|$/m);
    for (const defect of defects) expect(text('summary.md')).toContain(`* ${defect}\n`);
  });

  it('print tables as the paper does', () => {
    expect(text('summary.tex')).toMatch(
      /^Dataset & Method & \$S_\\alpha\\uparrow\$ & \$F_\\beta\^w\\uparrow\$ & \$E_\\phi\\uparrow\$ & \$M\\downarrow\$ \\\\$/m,
    );
    expect(text('summary.tex')).toMatch(
      /^cod10k\/test & my\\_run \\& <others> & \.\d{3} & \.\d{3} & \.\d{3} & \.\d{3} \\\\$/m,
    );
    expect(text('summary.tex')).toMatch(/^refcoco\/testA & my\\_run \\& <others> & 40\.0 & 40\.0 & 50\.0 \\\\$/m);
  });

  it('make a page that asks for nothing from elsewhere, and has a text for every picture', () => {
    const page = text('report.html');
    expect(page).toContain('my_run &amp; &lt;others&gt;');
    expect(page).not.toMatch(/<script|https?:|url\(|@import|<link|<a>/);
    const pictures = [...page.matchAll(/<img\s+src="([^"]+)"[^>]*\salt="([^"]+)"/g)].map(
      ([, source = '', alt = '']) => [existsSync(join(path, source)), alt],
    );
    expect(pictures).toEqual([[true, '&lt;a&gt;, best: image, answer and truth side by side; score 1.000']]);
    for (const defect of defects) expect(page).toContain(`<li>${defect}</li>`);
    expect(page.match(/<(section|details|table|ul|div|figure)\b/g)!.length).toBe(
      page.match(/<\/(section|details|table|ul|div|figure)>/g)!.length,
    );
  });
});
