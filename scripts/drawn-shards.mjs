// usage: node scripts/drawn-shards.mjs FOLDER ROWS — writes rows of every kind, for readers of other languages to open.
import { rowSchema } from '../dist/io/arrow/columns.js';
import { column } from '../dist/io/arrow/own-columns.js';
import { openShards } from '../dist/io/arrow/shard.js';

const [folder, rows] = process.argv.slice(2);
const frame = { width: 64, height: 48 };

/** A rectangle; an empty one where `i` divides by 5. */
function mask(i) {
  const [left, top, width, height] = i % 5 === 0 ? [0, 0, 0, 0] : [i % 40, i % 30, 1 + (i % 20), 1 + (i % 15)];
  const runs = [];
  let at = 0;
  for (let x = left; x < left + width; x++) {
    runs.push(x * frame.height + top - at, height);
    at = x * frame.height + top + height;
  }
  return { ...frame, counts: [...runs, frame.width * frame.height - at] };
}

/** The stages come one by one: rows that divide by 7 were marked, others came as far as `i % 6` lets them. */
function row(i) {
  const far = i % 7 === 3 ? 0 : 5;
  const sample = {
    id: `0/${i}/drawn`,
    image: i % 2 ? { path: `drawn/größe-${i}.png` } : { scene: { kind: 'pick', seed: 7, index: i, rule: 'warm' } },
    truth: mask(i),
    task: 'segment',
    set: i % 3 ? 'drawn' : 'drawn/val',
    frame,
    original: { width: 128, height: 96 },
    ...(i % 3 === 0 && {
      instruction: i % 2 ? '' : 'the warm one — 猫 🙂',
      candidates: {
        boxes: [
          [1, 2, 3, 4],
          [5, 6, 7, 8],
        ],
        names: ['rot', 'größer'],
        target: 1,
        mask: mask(i + 1),
      },
    }),
  };
  if (far === 0) return { ...sample, skipped: { stage: 'load', reason: 'truncated' } };
  const score = (g) => (i % 11 === 5 && g === 1 ? NaN : g / 4);
  const group = [0, 1, 2];
  return {
    ...sample,
    prompt: 'Segment the object',
    promptTokens: [1, 2, 3, i],
    completions: group.map((g) => ({
      text: g === 2 ? '' : `<bbox>[1,2,${g},4]</bbox>`,
      tokens: g === 2 ? [] : [i, g],
      logProbs: g === 2 ? [] : [-0.25, -1.5],
      finish: g ? 'stop' : 'length',
    })),
    policyVersion: Math.floor(i / 8),
    prompts: group.map((g) =>
      g === 2 ? null : { frame, objects: [{ box: [1, 2, 10 + g, 40], points: [{ x: 3, y: 4, label: 1 }] }] },
    ),
    parseReasons: [null, i % 4 ? null : 'upside-down', 'empty'],
    formats: [1, 1, 0],
    masks: group.map((g) => (g === 2 ? null : mask(i + g))),
    rewards: { total: group.map(score), byName: { format: [1, 1, 0], iou: group.map(score) } },
    advantages: [-0.5, 0, 0.5],
    sampling: { temperature: 0.7, repetitionPenalty: 1, topK: 20, topP: 0.9, minP: 0, maxTokens: 44 },
    difficulty: i / 7,
    step: 1 + Math.floor(i / 8),
  };
}

const metadata = { run: 'drawn', seed: '7', config: '{}', model: '-', tokenizer: '-', prompt: '-', frame: '64x48' };
const columns = { difficulty: column.float('how hard it is') };
const shards = await openShards(folder, rowSchema(['format', 'iou'], metadata, { columns }), {
  rowsPerBatch: 10,
  shardMegabytes: 0.1,
});
for (let i = 0; i < Number(rows); i++) await shards.append(row(i));
await shards.close();
