/**
 * Milliseconds an image for every metric of a pair, and for the five of most tables (S, weighted F, F, E, MAE), and the
 * correction effort, which stands apart.
 *
 * `node bench/metrics.mjs [--peer PYTHON]`, on the build: a blurred disc of 854 × 480 pixels, one thread, the median of
 * 15; then
 * pictures a second, read from PNG and scored by everything on all cores. With a Python that has pysodmetrics the same
 * two
 * pictures are scored by it in the same run, on one thread, and the times are set side by side.
 * On one of 2 cores, Node 20: 23 ms for all, 10 ms for the five, 10 ms for the correction effort; pysodmetrics 1.6.2
 * takes 61 and 58 ms.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import sharp from 'sharp';

const metrics = new URL('../dist/metrics/', import.meta.url);
const { saliency, thresholdedMeasures } = await import(new URL('saliency.js', metrics));
const { confidences, countLevels } = await import(new URL('level-counts.js', metrics));
const { openScorer } = await import(new URL('../operators/scorer.js', metrics));
const { correctionEffort } = await import(new URL('correction-effort.js', metrics));
const { meanAbsoluteError } = await import(new URL('mean-error.js', metrics));
const { structureOfLevels } = await import(new URL('structure-measure.js', metrics));
const { weightedFMeasure } = await import(new URL('weighted-f-measure.js', metrics));

const size = { width: 854, height: 480 };
const far = (i, x, y) => Math.hypot((i % size.width) - x, Math.floor(i / size.width) - y);
const truth = Uint8Array.from({ length: size.width * size.height }, (_, i) => (far(i, 400, 230) < 110 ? 1 : 0));
const predicted = Uint8Array.from(truth, (_, i) => 255 / (1 + Math.exp((far(i, 412, 222) - 105) / 4)));

const hard = predicted.map((level) => (level > 127 ? 1 : 0));

function five() {
  const counts = countLevels(predicted, truth);
  const confidence = confidences(counts);
  return [
    structureOfLevels(predicted, confidence, truth, size),
    weightedFMeasure(predicted, confidence, truth, size),
    thresholdedMeasures(counts, confidence).values,
    meanAbsoluteError(counts, confidence),
  ];
}

function median(work) {
  const times = Array.from({ length: 20 }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return Number(
    times
      .slice(5)
      .sort((a, b) => a - b)[7]
      .toFixed(2),
  );
}

/** Pictures a second of everything, decoding included, on a thread a core. */
async function throughput(pictures) {
  const scorer = openScorer(availableParallelism());
  const job = { kind: 'foreground', predicted: { path: pictures.predicted }, truth: { path: pictures.truth } };
  const some = (count) => Promise.all(Array.from({ length: count }, () => scorer.score(job)));
  await some(2 * scorer.threads);
  const count = 16 * scorer.threads;
  const start = performance.now();
  await some(count);
  const seconds = (performance.now() - start) / 1000;
  await scorer.release();
  return { threads: scorer.threads, images_per_second: Number((count / seconds).toFixed(1)) };
}

/** What a Python's pysodmetrics takes for the same pictures, ms. */
async function peerTimes(python, { predicted, truth }) {
  const { stdout } = await promisify(execFile)(python, [
    fileURLToPath(new URL('metrics-peer.py', import.meta.url)),
    predicted,
    truth,
  ]);
  return JSON.parse(stdout);
}

const folder = await mkdtemp(join(tmpdir(), 'segr1-bench-'));
try {
  const pictures = { predicted: join(folder, 'predicted.png'), truth: join(folder, 'truth.png') };
  const gray = (levels, path) =>
    sharp(levels, { raw: { ...size, channels: 1 } })
      .toColourspace('b-w')
      .png()
      .toFile(path);
  await Promise.all([
    gray(predicted, pictures.predicted),
    gray(
      truth.map((bit) => bit * 255),
      pictures.truth,
    ),
  ]);

  const own = {
    all_ms: median(() => saliency(predicted, truth, size)),
    five_ms: median(five),
    effort_ms: median(() => correctionEffort(hard, truth, size)),
  };
  const at = process.argv.indexOf('--peer');
  const peer = at < 0 ? undefined : await peerTimes(process.argv[at + 1], pictures);
  const times = peer && {
    five: Number((peer.five_ms / own.five_ms).toFixed(2)),
    effort: Number((peer.effort_ms / own.effort_ms).toFixed(2)),
  };
  console.log(
    JSON.stringify({
      bench: 'metrics',
      size: '854x480',
      ...own,
      pool: await throughput(pictures),
      ...(peer && { peer, peer_over_own: times }),
    }),
  );
} finally {
  await rm(folder, { recursive: true });
}
