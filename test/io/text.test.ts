import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { benchmarkItems } from '../../src/io/benchmarks/named.js';
import { readCocoFile } from '../../src/io/coco-annotations.js';
import { readReasonAnnotation } from '../../src/io/reason-truth.js';
import { listedItems } from '../../src/io/sets/listed.js';
import { parseJson, readText } from '../../src/io/text.js';
import { findPipeline } from '../../src/pipelines/config/find.js';

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'text-'))));
afterAll(() => rmSync(folder, { recursive: true }));

const MARK = '\uFEFF';
function stored(name: string, text: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}
const big = (text: string): Buffer => Buffer.from(MARK + text, 'utf16le').swap16();

describe('readText', () => {
  it.each([
    ['without a mark', Buffer.from('é,1')],
    ['with one', Buffer.from(`${MARK}é,1`)],
    ['UTF-16 of Windows', Buffer.from(`${MARK}é,1`, 'utf16le')],
    ['UTF-16 the other way round', big('é,1')],
  ])('%s', (name, bytes) => {
    expect(readText(stored(`${name}.csv`, bytes))).toBe('é,1');
  });
});

describe('parseJson', () => {
  it.each([
    // Python 3.13: json.dumps({'a': [math.nan, math.inf, -math.inf], 'NaN "Infinity\\': 'NaN'})
    [
      '{"a": [NaN, Infinity, -Infinity], "NaN \\"Infinity\\\\": "NaN"}',
      { a: [null, null, null], 'NaN "Infinity\\': 'NaN' },
    ],
    [`${MARK}[1.5]`, [1.5]],
    ['NaN', null],
    ['"NaN"', 'NaN'],
  ])('%s', (text, value) => {
    expect(parseJson(text)).toEqual(value);
  });

  it.each(['{"a": nan}', '{"a": NaN', '[NaNa]', "['NaN']", ''])('refuses %s', (text) => {
    expect(() => parseJson(text)).toThrow(SyntaxError);
  });

  it('takes a text of many megabytes', () => {
    const text = `{"a": "${'NaN\\"'.repeat(2_000_000)}", "b": NaN}`;
    expect(parseJson(text)).toMatchObject({ b: null });
  });
});

describe('what Python and Windows write is read as it is meant', () => {
  const coco = (more: string): string =>
    `{"images": [{"id": 1, "file_name": "a.png", "width": 4, "height": 4}], "annotations": [{"id": 1, "image_id": 1, "segmentation": [[0, 0, 4, 0, 4, 4]], ${more}}]}`;

  it.each([
    ['NaN and Infinity', coco('"area": NaN, "bbox": [0, 0, Infinity, -Infinity]')],
    ['a mark', MARK + coco('"area": 8')],
  ])('COCO: %s', (name, text) => {
    expect(readCocoFile(stored(`coco ${name}.json`, text)).annotations.size).toBe(1);
  });

  it('ReasonSeg', () => {
    const text = `${MARK}{"text": ["NaN"], "is_sentence": false, "shapes": [], "score": NaN}`;
    expect(readReasonAnnotation(stored('reason.json', text)).text).toEqual(['NaN']);
  });

  it('a list', () => {
    const text = `${MARK}{"image_path": "a.png", "iou": NaN}\r\n{"image_path": "b.png"}\r\n`;
    expect(listedItems(stored('list.jsonl', Buffer.from(text, 'utf16le'))).map(({ name }) => name)).toEqual(['a', 'b']);
  });

  it('a benchmark', () => {
    const line = '{"question_id": 1, "image": "1.jpg", "text": "Is it?", "label": "yes", "score": NaN}\n';
    stored('coco_pope_random.json', MARK + line);
    const [item] = benchmarkItems({ benchmark: 'pope', root: folder, images: folder });
    expect(item?.instruction).toMatch(/^Is it\?/);
  });

  it('a pipeline', () => {
    const file = stored('marked.yaml', `${MARK}seed: 7\nstages: []\n`);
    expect(findPipeline(file).document.value).toEqual({ seed: 7, stages: [] });
    const wide = stored('wide.yaml', Buffer.from(`${MARK}seed: 7\r\nstages: []\r\n`, 'utf16le'));
    expect(findPipeline(wide).document.value).toEqual({ seed: 7, stages: [] });
  });
});
