/** Rows for docs/devices.md of what a check measured: node scripts/gpu/table.mjs gpu-check/results.jsonl */
import { readFileSync } from 'node:fs';

import { short } from './tell.mjs';

const lines = readFileSync(process.argv[2] ?? 'gpu-check/results.jsonl', 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line));
const of = (step, part) => lines.filter((line) => line.step === step && line.part === part);
const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(1)} GB`;
const per = (rate) => `${Math.round(rate)} tokens/s`;
const rows = [];

for (const { devices } of lines.filter(({ step }) => step === 'doctor')) {
  for (const { device, name, speed } of devices)
    rows.push([
      '`segr1 doctor`',
      `${device}, ${name}`,
      Object.entries(speed)
        .map(([precision, rate]) => `${precision} ${short(rate / 1000)} TFLOP/s`)
        .join(', '),
    ]);
}
for (const step of ['shape3b', 'fit', 'full3b']) {
  const [shape] = of(step, 'shape');
  for (const { seconds, rolloutTokensPerSecond, updateTokensPerSecond, stepTokensPerSecond, stepShare } of of(
    step,
    'result',
  )) {
    const what = `${step}, ${shape.prompts} × ${shape.group} × ${shape.tokens}, prompts of ${shape.prompt} tokens, rank ${shape.rank}, ${shape.precision}`;
    const most = Math.max(...of(step, 'memory').map(({ seen }) => seen));
    const peak =
      stepShare === undefined || stepShare === null ? '' : `, ${(100 * stepShare).toFixed(1)} % of the card's peak`;
    rows.push([
      what,
      shape.card,
      `rollout ${per(rolloutTokensPerSecond)}, update ${per(updateTokensPerSecond)}, a step ${short(seconds.whole)} s, ${per(stepTokensPerSecond)} with prompts${peak}, ${gigabytes(most)}`,
    ]);
  }
}
const [generate, update, both] = ['generate', 'update', 'step'].map((part) => of('peer', part)[0]);
if (generate && update && both) {
  const [{ torch, transformers, peft }] = of('peer', 'versions');
  rows.push([
    'the same by transformers and PEFT',
    `torch ${torch}, transformers ${transformers}, PEFT ${peft}`,
    `rollout ${per(generate.tokensPerSecond)}, update ${per(update.tokensPerSecond)}, both ${short(both.took)} s, ${per(both.stepTokensPerSecond)} with prompts, ${gigabytes(Math.max(generate.memory, update.memory))}`,
  ]);
}
for (const { precision, when, embed, decode } of of('options', 'segmenter'))
  rows.push([`SAM 2.1 large, ${precision}, ${when}`, '', `an image ${short(embed)} ms, 8 boxes ${short(decode)} ms`]);

console.log('| what | on | measured |\n|---|---|---|');
for (const row of rows) console.log(`| ${row.join(' | ')} |`);
